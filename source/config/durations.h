// Durations of the configuration as durations of the program. Values.
#pragma once

#include <google/protobuf/duration.pb.h>

#include "source/base/clock.h"

namespace sluice::config {

/// Cut to what fits (292 years).
inline Duration ToDuration(const google::protobuf::Duration& duration) {
  constexpr int64_t kMaxSeconds = 9'000'000'000;
  const int64_t seconds = std::min(std::max(duration.seconds(), -kMaxSeconds), kMaxSeconds);
  return std::chrono::seconds(seconds) + std::chrono::nanoseconds(duration.nanos());
}

}  // namespace sluice::config
