// Hash64: the 64-bit hash by which requests and endpoints meet on a ring. The same on every machine
// and in every run, so that several proxies agree. Pure function, any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

/// XXH64 of the bytes, as its specification has it (and as Envoy hashes).
uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);

}  // namespace sluice
