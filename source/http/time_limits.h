// TimeLimits: the longest silence and the longest life of an exchange, kept by two timers that
// cancel it. Belongs to one worker.
#pragma once

#include "source/async/cancel.h"
#include "source/async/scaled_timer.h"
#include "source/async/timer_wheel.h"
#include "source/http/exchange.h"

namespace sluice {

/// Cancels with a reason when its time has come.
class CancelTimer final : public Timer {
 public:
  CancelTimer(Canceller& canceller, Reason reason) : canceller_(canceller), reason_(reason) {}

 private:
  void OnTimer() override { canceller_.Cancel(reason_); }
  Canceller& canceller_;
  const Reason reason_;
};

/// What Exchange::LimitIdle, LimitDuration and Touch do, for the exchanges of every protocol.
class TimeLimits {
 public:
  /// `overload` makes the longest silence shorter.
  explicit TimeLimits(Exchange& exchange, const OverloadState& overload = OverloadState::Calm())
      : exchange_(exchange),
        idle_(exchange, overload),
        duration_(exchange.canceller(), Reason::kMaxStreamDuration) {}

  void LimitIdle(Duration limit) {
    idle_limit_ = limit;
    Touch();
  }
  /// Counted from exchange.time.start.
  void LimitDuration(Duration limit) {
    duration_.Disarm();
    if (limit > Duration::zero())
      exchange_.worker().wheel().Arm(duration_, limit - (Now() - exchange_.time.start));
  }
  void Touch() { idle_.Start(idle_limit_); }
  /// The exchange is over. A later Touch() would arm the idle limit again.
  void Disarm() {
    idle_.Disarm();
    duration_.Disarm();
  }

 private:
  class Silence final : public ScaledTimer {
   public:
    Silence(Exchange& exchange, const OverloadState& overload)
        : ScaledTimer(exchange.worker().wheel(), overload, OverloadState::kStreamIdle),
          canceller_(exchange.canceller()) {}

   private:
    void OnTimer() override { canceller_.Cancel(Reason::kStreamIdleTimeout); }
    Canceller& canceller_;
  };

  Exchange& exchange_;
  Duration idle_limit_{};
  Silence idle_;
  CancelTimer duration_;
};

}  // namespace sluice
