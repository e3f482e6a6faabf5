// Suspension: the place where a chain of awaits waits for something: a descriptor, a timer, another
// task. It lives in the frame that waits, and ends by what was waited for or by a cancellation.
// Belongs to one worker.
#pragma once

#include <coroutine>

#include "source/async/timer_wheel.h"
#include "source/base/linked.h"

namespace sluice {

class Canceller;

/// Who can be waited for has a list of them (LinkTo); a woken or cancelled suspension is in none.
class Suspension : public Linked<Suspension> {
 public:
  Suspension() = default;

  /// Ends the wait; the task goes on from the run queue, not inside this call.
  void Wake();
  /// Ends the wait and goes on inside this call: only at the bottom of a loop's stack.
  void Resume();
  /// Ends the wait as a cancellation does.
  void Abort();

  /// `co_await suspension`: false when the wait was cancelled, at once if the chain was already.
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame) {
    return Begin(frame, frame.promise().canceller());
  }
  bool await_resume() const noexcept { return !cancelled_; }

 protected:
  /// A suspension that no cancellation ends.
  explicit Suspension(std::nullptr_t) : deaf_(true) {}

 private:
  friend class Canceller;
  friend class RunQueue;
  bool Begin(std::coroutine_handle<> frame, Canceller* canceller);
  void Detach();

  std::coroutine_handle<> frame_;  // set while suspended
  Canceller* canceller_ = nullptr;
  Suspension* queued_behind_ = nullptr;  // in the run queue
  bool cancelled_ = false;
  bool queued_ = false;
  const bool deaf_ = false;
};

/// `co_await` it: an await without a frame of its own, which suspends only if it must. False when
/// it was cancelled. Lives in the frame that waits.
class [[nodiscard]] Waiting : private Suspension {
 public:
  /// The answer is known.
  explicit Waiting(bool answer) : answer_(answer) {}
  /// Waits in the list that begins at `head` until somebody wakes it there; see Suspension.
  explicit Waiting(Suspension*& head) : head_(&head) {}

  bool await_ready() const noexcept { return head_ == nullptr; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame) {
    LinkTo(*head_);
    return Suspension::await_suspend(frame);
  }
  bool await_resume() const noexcept {
    return head_ == nullptr ? answer_ : Suspension::await_resume();
  }

 private:
  bool answer_ = false;
  Suspension** head_ = nullptr;
};

/// A wait that cannot be cut short: for the last step of an unwinding.
class DeafSuspension final : public Suspension {
 public:
  DeafSuspension() : Suspension(nullptr) {}
};

/// A wait with an end in time.
class TimedSuspension final : public Suspension, private Timer {
 public:
  using Suspension::LinkTo;
  explicit TimedSuspension(Duration patience);
  bool timed_out() const { return timed_out_; }

 private:
  void OnTimer() override {
    timed_out_ = true;
    Wake();
  }
  bool timed_out_ = false;
};

/// Tasks of one thread that are ready to go on. Filled from anywhere on that thread, emptied by its
/// loop.
class RunQueue {
 public:
  explicit RunQueue(asio::io_context& io) : io_(io) {}

  void Push(Suspension& suspension);
  /// Runs what was ready at the time of the call.
  void Drain();

 private:
  asio::io_context& io_;
  Suspension* first_ = nullptr;
  Suspension** last_ = &first_;
  bool posted_ = false;
};

}  // namespace sluice
