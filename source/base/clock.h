// Time: the steady clock that deadlines use and the wall clock that people read. Any thread.
#pragma once

#include <chrono>

namespace sluice {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;
using WallClock = std::chrono::system_clock;
using WallTime = WallClock::time_point;

inline TimePoint Now() {
  return Clock::now();
}
inline WallTime WallNow() {
  return WallClock::now();
}

/// Whole milliseconds of a duration, rounded down.
inline int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace sluice
