// Writing a head or chunk header from the worker's scratch memory together with body bytes. Worker
// thread only.
#pragma once

#include <string_view>

#include "source/net/stream.h"

namespace sluice {

/// Writes what goes without waiting of `scratch`, `data` and `tail`; the number of bytes that went.
/// Nearly always all of them.
inline absl::StatusOr<size_t> TryWriteScratch(Stream& stream, std::string_view scratch,
                                              std::string_view data, std::string_view tail) {
  const std::string_view parts[] = {scratch, data, tail};
  return stream.TryWrite(parts);
}

/// Writes the rest, after `gone` bytes. `scratch` is only read before the first suspension (what is
/// left of it is copied); `data` and `tail` must stay in place until it returns. Errors: those of
/// Stream::Write.
Task<absl::Status> WriteRest(Stream& stream, std::string_view scratch, std::string_view data,
                             std::string_view tail, size_t gone);

}  // namespace sluice
