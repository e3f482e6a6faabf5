// Scopes over co_spawn. Worker thread only.
#include "source/async/scope.h"

#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>

namespace sluice {

Event::Event(Executor executor) : timer_(executor, TimePoint::max()) {}

void Event::Set() {
  set_ = true;
  timer_.cancel();
}

Task<bool> Event::WaitFor(Duration patience) {
  const TimePoint limit = patience == Duration::max() ? TimePoint::max() : Now() + patience;
  while (!set_) {
    if (Cancelled(co_await kCancelState)) co_return false;
    // Setting the time wakes other waiters: only where it changes.
    if (timer_.expiry() != limit) timer_.expires_at(limit);
    co_await timer_.async_wait(kAwait);
    if (Now() >= limit) break;
  }
  co_return true;
}

Task<bool> Sleep(Duration duration) {
  if (Cancelled(co_await kCancelState)) co_return false;
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> timer(
      co_await asio::this_coro::executor, duration);
  auto [error] = co_await timer.async_wait(kAwait);
  co_return !error;
}

Scope::~Scope() {
  assert(running_ == 0 && "a scope died before its tasks");
}

namespace {

// The root of every spawned chain: cancellation is a returned error here, never an exception.
Task<> Root(Task<> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

}  // namespace

void Scope::Spawn(Task<> task) {
  auto entry = entries_.emplace(entries_.end());
  entry->canceller = &entry->own;
  Start(std::move(task), entry);
}

void Scope::Spawn(Task<> task, Canceller& canceller) {
  auto entry = entries_.emplace(entries_.end());
  entry->canceller = &canceller;
  Start(std::move(task), entry);
}

void Scope::Start(Task<> task, std::list<Entry>::iterator entry) {
  ++running_;
  asio::co_spawn(executor_, Root(std::move(task)),
                 asio::bind_cancellation_slot(entry->canceller->slot(),
                                              [this, entry](std::exception_ptr failure) {
                                                // Errors are values here: an exception that comes
                                                // this far is a bug or an exhausted memory.
                                                if (failure) std::terminate();
                                                OnEnd(entry);
                                              }));
  if (cancelled_) entry->canceller->Cancel(Reason::kCancelled);
}

void Scope::OnEnd(std::list<Entry>::iterator entry) {
  entries_.erase(entry);
  --running_;
  if (running_ == 0 && joined_ != nullptr) joined_->Set();
}

void Scope::Cancel(Reason reason) {
  cancelled_ = true;
  // A cancelled task may end, and so leave the list, while the list is walked: count on running_
  // order instead of iterators.
  for (auto it = entries_.begin(); it != entries_.end();) {
    Canceller* canceller = (it++)->canceller;
    canceller->Cancel(reason);
  }
}

Task<> Scope::Join() {
  if (running_ == 0) co_return;
  Event done(executor_);
  joined_ = &done;
  while (running_ != 0) {
    if (co_await done.Wait()) break;
    co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  }
  joined_ = nullptr;
}

}  // namespace sluice
