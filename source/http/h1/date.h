// The Date field's value, made once a second on each thread.
#pragma once

#include <string_view>

#include "source/base/clock.h"

namespace sluice {

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7) for the current second. Valid until this thread
/// calls it again.
std::string_view HttpDate();

/// The same for `time`, kept until the second changes.
std::string_view HttpDate(WallTime time);

}  // namespace sluice
