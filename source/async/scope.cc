// Roots of tasks, and events between them. Worker thread only.
#include "source/async/scope.h"

#include <cassert>

namespace sluice {

Event::~Event() {
  assert(waiting_ == nullptr && "an event died before its waiters");
}

void Event::Set() {
  set_ = true;
  while (waiting_ != nullptr) waiting_->Wake();
}

Task<bool> Event::WaitFor(Duration patience) {
  if (set_) return true;
  return WaitUntil(*this, patience == Duration::max() ? TimePoint::max() : Now() + patience);
}

Task<bool> Event::WaitUntil(Event& event, TimePoint limit) {
  while (!event.set_) {
    const TimePoint now = Now();
    if (now >= limit) break;
    TimedSuspension suspension(limit == TimePoint::max() ? Duration::max() : limit - now);
    suspension.LinkTo(event.waiting_);
    if (!co_await suspension) co_return false;
  }
  co_return true;
}

Task<bool> Sleep(Duration duration) {
  TimedSuspension suspension(duration);
  co_return co_await suspension;
}

namespace {

// A wait for one's next turn.
class NextTurn final : public Suspension {
 public:
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame) {
    if (!Suspension::await_suspend(frame)) return false;
    Wake();
    return true;
  }
};

}  // namespace

Task<> Yield() {
  NextTurn turn;
  (void)co_await turn;
}

Scope::~Scope() {
  assert(running_ == 0 && "a scope died before its tasks");
}

// What a scope knows of a task.
struct Scope::RootNode : Linked<RootNode> {
  explicit RootNode(Canceller& canceller) : canceller(canceller) {}
  Canceller& canceller;
};

// The frame below all others of a spawned task: it starts and ends by itself.
class Scope::Root {
 public:
  struct promise_type final : TaskPromise {
    promise_type(Task<>&, Scope& scope, Canceller* canceller)
        : scope(scope), node(canceller == nullptr ? own : *canceller) {
      canceller_ = &node.canceller;
      node.LinkTo(scope.roots_);
      ++scope.running_;
      if (scope.cancelled_) canceller_->Cancel(Reason::kCancelled);
    }
    ~promise_type() {
      node.Unlink();
      scope.OnEnd();
    }
    Root get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}

    Scope& scope;
    Canceller own;
    RootNode node;
  };

  static Root Run(Task<> task, Scope&, Canceller*) {
    co_await std::move(task);
    task = Task<>();  // Its frame goes before the scope hears of the end.
  }
};

void Scope::Spawn(Task<> task) {
  Root::Run(std::move(task), *this, nullptr);
}

void Scope::Spawn(Task<> task, Canceller& canceller) {
  Root::Run(std::move(task), *this, &canceller);
}

void Scope::OnEnd() {
  --running_;
  if (running_ == 0 && joining_ != nullptr) joining_->Wake();
}

void Scope::Cancel(Reason reason) {
  cancelled_ = true;
  // Tasks that are woken by it go on later: the list stays as it is.
  for (RootNode* root = roots_; root != nullptr; root = root->next())
    root->canceller.Cancel(reason);
}

Task<> Scope::Join() {
  if (running_ == 0) return {};
  return WaitForEnd(*this);
}

Task<> Scope::WaitForEnd(Scope& scope) {
  while (scope.running_ != 0) {
    DeafSuspension suspension;
    suspension.LinkTo(scope.joining_);
    co_await suspension;
  }
}

}  // namespace sluice
