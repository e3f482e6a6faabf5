// A clock for timeouts that costs next to nothing. Any thread.
#pragma once

#include <time.h>

#include "source/base/clock.h"

namespace sluice {

/// The time of Now() as it was when the system's own timer last ticked: up to CoarseResolution()
/// behind.
inline TimePoint CoarseNow() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return TimePoint(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

/// 1 to 10 ms.
inline Duration CoarseResolution() {
  timespec time;
  ::clock_getres(CLOCK_MONOTONIC_COARSE, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace sluice
