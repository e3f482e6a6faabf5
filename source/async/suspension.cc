// Waiting and going on. Worker thread only.
#include "source/async/suspension.h"

#include <boost/asio/post.hpp>

#include "source/async/cancel.h"
#include "source/async/worker.h"

namespace sluice {

bool Suspension::Begin(std::coroutine_handle<> frame, Canceller* canceller) {
  if (canceller != nullptr && !deaf_) {
    if (canceller->interrupted()) {
      cancelled_ = true;
      Unlink();
      return false;
    }
    canceller->waiting_ = this;
    canceller_ = canceller;
  }
  frame_ = frame;
  return true;
}

void Suspension::Detach() {
  Unlink();
  if (canceller_ != nullptr) canceller_->waiting_ = nullptr;
  canceller_ = nullptr;
}

void Suspension::Wake() {
  if (queued_ || !frame_) return;
  Detach();
  queued_ = true;
  Worker::Current()->run_queue().Push(*this);
}

void Suspension::Resume() {
  if (queued_ || !frame_) return;
  Detach();
  std::exchange(frame_, nullptr).resume();
}

void Suspension::Abort() {
  cancelled_ = true;
  Wake();
}

TimedSuspension::TimedSuspension(Duration patience) {
  if (patience != Duration::max()) Worker::Current()->wheel().Arm(*this, patience);
}

void RunQueue::Push(Suspension& suspension) {
  *last_ = &suspension;
  last_ = &suspension.queued_behind_;
  if (!std::exchange(posted_, true)) asio::post(io_, [this] { Drain(); });
}

void RunQueue::Drain() {
  posted_ = false;
  Suspension* ready = std::exchange(first_, nullptr);
  last_ = &first_;
  while (ready != nullptr) {
    Suspension& suspension = *ready;
    ready = std::exchange(suspension.queued_behind_, nullptr);
    suspension.queued_ = false;
    const ClockTurn turn;
    std::exchange(suspension.frame_, nullptr).resume();
  }
}

}  // namespace sluice
