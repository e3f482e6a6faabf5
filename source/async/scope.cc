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

namespace {

// Its own, for as long as it runs.
struct OwnCanceller {
  OwnCanceller() = default;
  OwnCanceller(OwnCanceller&&) noexcept {}  // before anybody knows of it
  operator Canceller&() { return canceller; }
  Canceller canceller;
};

// `Cancel`: Canceller&, or OwnCanceller.
template <class Cancel>
Scope::Spawned Run(Scope&, Cancel, Task<> task) {
  co_await std::move(task);
  task = Task<>();  // Its frame goes before the scope hears of the end.
}

}  // namespace

void Scope::Spawn(Task<> task) {
  Run<OwnCanceller>(*this, OwnCanceller(), std::move(task));
}

void Scope::Spawn(Task<> task, Canceller& canceller) {
  Run<Canceller&>(*this, canceller, std::move(task));
}

void Scope::OnEnd() {
  --running_;
  if (running_ == 0 && joining_ != nullptr) joining_->Wake();
}

void Scope::Cancel(Reason reason) {
  cancelled_ = true;
  // Tasks that are woken by it go on later: the list stays as it is.
  for (Root* root = roots_; root != nullptr; root = root->next()) root->canceller.Cancel(reason);
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
