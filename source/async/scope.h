// Scope: the owner of spawned tasks. Whoever starts concurrent work holds the Scope, cancels it and
// joins it before it dies, so that no coroutine outlives what it refers to. Belongs to one worker.
#pragma once

#include <cstddef>

#include "source/async/cancel.h"
#include "source/async/task.h"

namespace sluice {

/// An event that one or several tasks wait for.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  /// No task may wait any more.
  ~Event();

  /// Returns when Set() was called, or false when the wait was cancelled. Immediate while set.
  Task<bool> Wait() { return WaitFor(Duration::max()); }
  /// The same, for at most `patience`: is_set() tells whether it came.
  Task<bool> WaitFor(Duration patience);
  void Set();
  void Clear() { set_ = false; }
  bool is_set() const { return set_; }

 private:
  static Task<bool> WaitUntil(Event& event, TimePoint limit);

  Suspension* waiting_ = nullptr;
  bool set_ = false;
};

/// Suspends for `duration`; false when cancelled.
Task<bool> Sleep(Duration duration);

/// Lets the other tasks that are ready go first; nothing when cancelled.
Task<> Yield();

class Scope {
 public:
  Scope() = default;
  /// All tasks must have ended.
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// Starts `task` at once, up to its first suspension, under its own canceller. On the thread of
  /// the worker that it shall run on.
  void Spawn(Task<> task);
  /// The same under a canceller that the caller keeps alive until the task has ended.
  void Spawn(Task<> task, Canceller& canceller);

  /// Cancels every task; new ones are cancelled at their first suspension.
  void Cancel(Reason reason = Reason::kCancelled);

  /// Waits until no task is left; a cancellation does not interrupt it: it is the last step of an
  /// unwinding.
  Task<> Join();

  bool empty() const { return running_ == 0; }
  size_t size() const { return running_; }

 private:
  class Root;
  struct RootNode;
  void OnEnd();
  static Task<> WaitForEnd(Scope& scope);

  RootNode* roots_ = nullptr;
  Suspension* joining_ = nullptr;
  size_t running_ = 0;
  bool cancelled_ = false;
};

}  // namespace sluice
