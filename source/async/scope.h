// Scope: the owner of spawned tasks. Whoever starts concurrent work holds the Scope, cancels it and
// joins it before it dies, so that no coroutine outlives what it refers to. Belongs to one worker.
#pragma once

#include <cstddef>

#include "source/async/cancel.h"
#include "source/async/task.h"
#include "source/base/linked.h"

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
  class Spawned;

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
  // What a scope knows of a task.
  struct Root : Linked<Root> {
    explicit Root(Canceller& canceller) : canceller(canceller) {}
    Canceller& canceller;
  };
  void OnEnd();
  static Task<> WaitForEnd(Scope& scope);

  Root* roots_ = nullptr;
  Suspension* joining_ = nullptr;
  size_t running_ = 0;
  bool cancelled_ = false;
};

/// What a coroutine returns that is the root of its chain of awaits, as if it were given to
/// Spawn(): one frame less for what there is very much of. Its first parameters are the scope and
/// the canceller, as those of Spawn(); it begins when it is called. Its parameters die after the
/// scope has heard of its end: one of them may own the canceller.
class Scope::Spawned {
 public:
  struct promise_type final : TaskPromise {
    template <class... Rest>
    promise_type(Scope& scope, Canceller& canceller, const Rest&...)
        : scope(scope), root(canceller) {
      canceller_ = &canceller;
      root.LinkTo(scope.roots_);
      ++scope.running_;
      if (scope.cancelled_) canceller.Cancel(Reason::kCancelled);
    }
    ~promise_type() {
      root.Unlink();
      scope.OnEnd();
    }
    Spawned get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}

    Scope& scope;
    Root root;
  };
};

}  // namespace sluice
