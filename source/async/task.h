// Task: the coroutine type of the whole program: lazy, owned by who awaits it, resumed by direct
// transfer and never through a queue. A task runs on the thread that awaits it.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "source/base/free_lists.h"

namespace sluice {

class Canceller;

/// `co_await kIsCancelled`: true when this chain of awaits was cancelled. Suspension asks by
/// itself: only loops that may run long without one need it. Costs no suspension.
inline constexpr struct IsCancelled {
} kIsCancelled;

/// What the frames of all tasks have in common.
class TaskPromise {
 public:
  static void* operator new(size_t size) { return FreeLists::Take(size); }
  static void operator delete(void* frame, size_t size) { FreeLists::Put(frame, size); }

  /// What cancels this chain of awaits: each frame has it from the one that awaits it. Null:
  /// nothing.
  Canceller* canceller() const { return canceller_; }

  std::suspend_always initial_suspend() const noexcept { return {}; }
  auto final_suspend() const noexcept { return Ended(); }
  /// Errors are values here: an exception that comes this far is a bug or an exhausted memory.
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

  template <class Awaitable>
  Awaitable&& await_transform(Awaitable&& awaitable) const noexcept {
    return std::forward<Awaitable>(awaitable);
  }
  auto await_transform(IsCancelled) const noexcept { return Answer(is_cancelled()); }

 protected:
  template <class>
  friend class Task;

  struct Answer {
    explicit Answer(bool value) : value(value) {}
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    bool await_resume() const noexcept { return value; }
    const bool value;
  };
  struct Ended {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame) const noexcept {
      return frame.promise().continuation_;
    }
    void await_resume() const noexcept {}
  };
  bool is_cancelled() const;

  Canceller* canceller_ = nullptr;
  std::coroutine_handle<> continuation_;
};

/// An async function's result. A function that can answer at once need not be a coroutine: it
/// returns the value, which becomes a Task without a frame. Rules: parameters are values or
/// references to objects that outlive the call (Exchange&, Stream&); no capturing lambda is a
/// coroutine; a suspended Task is never destroyed, it is cancelled and then joined (see scope.h).
template <class T = void>
class [[nodiscard]] Task {
 public:
  struct promise_type final : TaskPromise {
    Task get_return_object() noexcept {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    template <class U = T>
    void return_value(U&& value) {
      task->value_.emplace(std::forward<U>(value));
    }
    Task* task = nullptr;  // where the result goes: the one that is awaited
  };

  /// A task that has ended already.
  template <class U>
    requires(!std::same_as<std::remove_cvref_t<U>, Task> && std::convertible_to<U, T>)
  Task(U&& value) : value_(std::in_place, std::forward<U>(value)) {}
  Task(Task&& other) noexcept
      : frame_(std::exchange(other.frame_, nullptr)), value_(std::move(other.value_)) {}
  ~Task() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return !frame_; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent) noexcept {
    promise_type& promise = frame_.promise();
    promise.canceller_ = parent.promise().canceller();
    promise.continuation_ = parent;
    promise.task = this;
    return frame_;
  }
  T await_resume() { return *std::move(value_); }

 private:
  explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
  std::optional<T> value_;
};

template <>
class [[nodiscard]] Task<void> {
 public:
  struct promise_type final : TaskPromise {
    Task get_return_object() noexcept {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    void return_void() const noexcept {}
  };

  /// A task that has ended already.
  Task() = default;
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return !frame_; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent) noexcept {
    promise_type& promise = frame_.promise();
    promise.canceller_ = parent.promise().canceller();
    promise.continuation_ = parent;
    return frame_;
  }
  void await_resume() const noexcept {}

 private:
  explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

}  // namespace sluice
