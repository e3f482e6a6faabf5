// Cancellation: a Canceller stops one chain of awaits, and a Deadline does so when its time has
// come. Belongs to one worker.
//
// Cancelling wakes the innermost await, which returns kCancelled; every frame then returns in
// order. The frame that owns a Deadline turns kCancelled into the deadline's own reason, so that an
// inner timeout is an ordinary error for the frames outside it.
#pragma once

#include "source/async/suspension.h"
#include "source/async/task.h"
#include "source/async/timer_wheel.h"
#include "source/base/reason.h"

namespace sluice {

/// Cancels the coroutine that was spawned with it (see Scope::Spawn).
class Canceller {
 public:
  Canceller() = default;
  Canceller(const Canceller&) = delete;
  Canceller& operator=(const Canceller&) = delete;

  /// Stops everything under this canceller for good, unless Reset() takes it back; of several
  /// reasons the first one stays.
  void Cancel(Reason reason);

  /// Stops only what runs now; the frame that asked for it goes on after Recover().
  void Interrupt();

  /// After an interrupt: lets this chain of awaits suspend again. Called by the frame that owns the
  /// interruption. Stays cancelled when Cancel() was called as well.
  void Recover() { interrupted_ = cancelled_; }

  /// Takes a Cancel() back, for the one frame that answers it (with an error response, say) and
  /// goes on. The next Cancel() has its own reason again.
  void Reset() { interrupted_ = cancelled_ = false; }

  bool cancelled() const { return cancelled_; }
  /// What asks for it may not suspend.
  bool interrupted() const { return interrupted_; }
  Reason reason() const { return reason_; }

 private:
  friend class Suspension;

  Suspension* waiting_ = nullptr;  // where the chain is suspended now
  bool interrupted_ = false;
  bool cancelled_ = false;
  Reason reason_ = Reason::kCancelled;
};

inline bool TaskPromise::is_cancelled() const {
  return canceller_ != nullptr && canceller_->interrupted();
}

/// Interrupts `canceller` after a while. Lives in the frame that started it:
///   Deadline deadline(wheel, canceller, timeout);
///   auto result = co_await Work();
///   if (deadline.Expired()) return MakeError(Reason::kUpstreamTimeout);
class Deadline final : public Timer {
 public:
  /// Zero or negative `timeout`: never.
  Deadline(TimerWheel& wheel, Canceller& canceller, Duration timeout) : canceller_(canceller) {
    if (timeout > Duration::zero()) wheel.Arm(*this, timeout);
  }

  /// Disarms. True when the time came before this call; the interruption is then over, unless the
  /// exchange itself was cancelled.
  bool Expired();

  bool fired() const { return fired_; }

 private:
  void OnTimer() override {
    fired_ = true;
    canceller_.Interrupt();
  }

  Canceller& canceller_;
  bool fired_ = false;
};

}  // namespace sluice
