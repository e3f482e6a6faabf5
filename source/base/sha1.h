// SHA-1 (RFC 3174), for the password files of others that use it. Not for anything new. Pure
// functions, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice {

std::array<uint8_t, 20> Sha1(std::string_view text);

}  // namespace sluice
