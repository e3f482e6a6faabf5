// Writing a head or chunk header from the worker's scratch memory together with body bytes. Worker thread only.
#pragma once

#include <string_view>

#include "source/net/stream.h"

namespace sluice {

/// Writes `scratch`, `data` and `tail` in one go where possible. `scratch` is only read before the first suspension (what does not go
/// at once is copied); `data` and `tail` must stay in place until it returns. Errors: those of Stream::Write.
Task<absl::Status> WriteScratch(Stream& stream, std::string_view scratch, std::string_view data, std::string_view tail);

}  // namespace sluice
