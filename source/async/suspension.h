// Suspension: the place where a chain of awaits waits for something: a descriptor, a timer, another
// task. It lives in the frame that waits, and ends by what was waited for or by a cancellation.
// Belongs to one worker.
#pragma once

#include <coroutine>

#include "source/async/timer_wheel.h"

namespace sluice {

class Canceller;

class Suspension {
 public:
  Suspension() = default;
  Suspension(const Suspension&) = delete;
  Suspension& operator=(const Suspension&) = delete;
  ~Suspension() { Unlink(); }

  /// For who can be waited for: puts this at the head of a list. A woken or cancelled suspension is
  /// in no list.
  void LinkTo(Suspension*& head);
  void Unlink();

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
  Suspension* next_ = nullptr;
  Suspension** previous_ = nullptr;  // the pointer that points here
  bool cancelled_ = false;
  bool queued_ = false;
  const bool deaf_ = false;
};

/// A wait that cannot be cut short: for the last step of an unwinding.
class DeafSuspension final : public Suspension {
 public:
  DeafSuspension() : Suspension(nullptr) {}
};

/// A wait with an end in time.
class TimedSuspension final : public Suspension, private Timer {
 public:
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
