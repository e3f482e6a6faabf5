// One epoll instance per worker. Worker thread only.
#include "source/async/poller.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include "source/base/clock.h"

namespace sluice {
namespace {

int NewEpoll() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::system_category(), "epoll_create1");
  return fd;
}

}  // namespace

Poller::Poller(asio::io_context& io) : epoll_(io, NewEpoll()) {
  Wait();
}

void Poller::Wait() {
  epoll_.async_wait(asio::posix::descriptor_base::wait_read, [this](ErrorCode error) {
    if (error || stopped_) return;
    Dispatch();
    if (!stopped_) Wait();
  });
}

void Poller::Stop() {
  stopped_ = true;
  ErrorCode ignored;
  epoll_.cancel(ignored);
}

void Poller::Dispatch() {
  count_ = ::epoll_wait(epoll_.native_handle(), events_, kBatch, 0);
  for (next_ = 0; next_ < count_;) {
    const epoll_event& event = events_[next_++];
    const ClockTurn turn;
    if (event.data.ptr != nullptr) static_cast<Readiness*>(event.data.ptr)->OnEvents(event.events);
  }
  count_ = 0;
}

void Poller::Add(int fd, Readiness& readiness) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &readiness;
  // Fails only where the system is out of memory for it: then the descriptor is never ready, and
  // the time limits of its connection end it.
  (void)::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &event);
}

void Poller::Remove(int fd, Readiness& readiness) {
  epoll_event unused{};
  (void)::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, &unused);
  for (int i = next_; i < count_; ++i) {
    if (events_[i].data.ptr == &readiness) events_[i].data.ptr = nullptr;
  }
}

void Readiness::Watch(Poller& poller, int fd) {
  poller_ = &poller;
  fd_ = fd;
  poller.Add(fd, *this);
}

void Readiness::Forget() {
  if (poller_ == nullptr) return;
  std::exchange(poller_, nullptr)->Remove(fd_, *this);
  ready_ = 0;
  while (reader_ != nullptr) reader_->Abort();
  while (writer_ != nullptr) writer_->Abort();
}

void Readiness::OnEvents(uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) ready_ |= kIn;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) ready_ |= kEnded;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) ready_ |= kOut;
  // The reader may end this object: the writer, which is rarely there at the same time, first and
  // from the queue.
  if (writer_ != nullptr && (ready_ & kOut) != 0) writer_->Wake();
  if (reader_ != nullptr && readable()) reader_->Resume();
}

Waiting Readiness::WaitReadable() {
  if (poller_ == nullptr || readable()) return Waiting(readable());
  return Waiting(reader_);
}

Waiting Readiness::WaitWritable() {
  const bool writable = (ready_ & kOut) != 0;
  if (poller_ == nullptr || writable) return Waiting(writable);
  return Waiting(writer_);
}

}  // namespace sluice
