// ScaledTimer: a timeout that the overload action reduce_timeouts makes shorter, also while it
// runs. Belongs to one worker.
#pragma once

#include "source/async/cancel.h"
#include "source/async/timer_wheel.h"
#include "source/base/overload_state.h"

namespace sluice {

class ScaledTimer : public Timer {
 public:
  ScaledTimer(TimerWheel& wheel, const OverloadState& overload, OverloadState::Timeout timeout)
      : wheel_(wheel), overload_(overload), timeout_(timeout) {}

  /// (Re-)arms for the timeout that is configured as `full`. Zero or negative: never.
  void Start(Duration full) {
    if (full <= Duration::zero()) return Disarm();
    full_ = full;
    delay_ = overload_.Scaled(timeout_, full);
    wheel_.Arm(*this, delay_);
  }

 private:
  void OnReview() override {
    const Duration delay = overload_.Scaled(timeout_, full_);
    wheel_.Move(*this, std::exchange(delay_, delay), delay);
  }

  TimerWheel& wheel_;
  const OverloadState& overload_;
  const OverloadState::Timeout timeout_;
  Duration full_{}, delay_{};
};

}  // namespace sluice
