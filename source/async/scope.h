// Scope: the owner of spawned tasks. Whoever starts concurrent work holds the Scope, cancels it and
// joins it before it dies, so that no coroutine outlives what it refers to. Belongs to one worker.
#pragma once

#include <list>

#include <boost/asio/steady_timer.hpp>

#include "source/async/cancel.h"
#include "source/async/task.h"

namespace sluice {

/// An event that one or several tasks wait for.
class Event {
 public:
  explicit Event(Executor executor);
  /// Returns when Set() was called, or false when the wait was cancelled. Immediate while set.
  Task<bool> Wait() { return WaitFor(Duration::max()); }
  /// The same, for at most `patience`: is_set() tells whether it came. One task at a time.
  Task<bool> WaitFor(Duration patience);
  void Set();
  void Clear() { set_ = false; }
  bool is_set() const { return set_; }

 private:
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> timer_;
  bool set_ = false;
};

/// Suspends for `duration`; false when cancelled.
Task<bool> Sleep(Duration duration);

class Scope {
 public:
  explicit Scope(Executor executor) : executor_(executor) {}
  /// All tasks must have ended.
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// Starts `task` at once, up to its first suspension, under its own canceller.
  void Spawn(Task<> task);
  /// The same under a canceller that the caller keeps alive until the task has ended.
  void Spawn(Task<> task, Canceller& canceller);

  /// Cancels every task; new ones are cancelled at their first suspension.
  void Cancel(Reason reason = Reason::kCancelled);

  /// Waits until no task is left. A cancellation does not interrupt it, and is forgotten: it is the
  /// last step of an unwinding.
  Task<> Join();

  bool empty() const { return running_ == 0; }
  size_t size() const { return running_; }
  Executor executor() const { return executor_; }

 private:
  struct Entry {
    Canceller own;
    Canceller* canceller;
  };
  void Start(Task<> task, std::list<Entry>::iterator entry);
  void OnEnd(std::list<Entry>::iterator entry);

  Executor executor_;
  std::list<Entry> entries_;
  size_t running_ = 0;
  bool cancelled_ = false;
  Event* joined_ = nullptr;
};

}  // namespace sluice
