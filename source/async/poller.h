// Poller: which descriptors of a worker are ready. Edge-triggered, one registration for the life of
// a descriptor: what is known to be ready is remembered, so that a read or write asks the system
// only when there is something to get, and waiting costs no system call. Belongs to one worker.
#pragma once

#include <sys/epoll.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "source/async/asio.h"
#include "source/async/suspension.h"
#include "source/async/task.h"

namespace sluice {

class Readiness;

class Poller {
 public:
  explicit Poller(asio::io_context& io);

  /// Looks no more; waiting tasks stay suspended.
  void Stop();

 private:
  friend class Readiness;
  static constexpr int kBatch = 128;

  void Wait();
  void Dispatch();
  void Add(int fd, Readiness& readiness);
  void Remove(int fd, Readiness& readiness);

  // Nested in Asio's own poll: a worker still has one loop. Asio cannot do this by itself, for its
  // waits cost a system call each and it remembers nothing.
  asio::posix::basic_stream_descriptor<Executor> epoll_;
  epoll_event events_[kBatch];
  int next_ = 0;  // Those from here to count_ are still to be dispatched.
  int count_ = 0;
  bool stopped_ = false;
};

/// One descriptor's readiness, embedded in its owner. Of several tasks that wait for a direction
/// the one that came last hears of it: a watch over an idle connection gives way to its next
/// reader.
class Readiness {
 public:
  Readiness() = default;
  ~Readiness() { Forget(); }
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  /// Begins to watch `fd`, which stays open until Forget().
  void Watch(Poller& poller, int fd);
  /// Ends the watch; who waits is told "cancelled". Before the descriptor is closed.
  void Forget();

  /// A read may give something: bytes, an end or an error.
  bool readable() const { return (ready_ & kIn) != 0; }
  /// A read gave less than it had room for. An end that is already known stays to be read.
  void NoteShortRead() {
    if ((ready_ & kEnded) == 0) ready_ &= ~kIn;
  }
  /// A read, or a write, would have had to wait.
  void NoteNothingToRead() { ready_ &= ~(kIn | kEnded); }
  void NoteNoRoom() { ready_ &= ~kOut; }

  /// `co_await WaitReadable()`: false when cancelled or forgotten.
  Waiting WaitReadable();
  Waiting WaitWritable();

 private:
  friend class Poller;
  enum : uint8_t { kIn = 1, kOut = 2, kEnded = 4 };

  void OnEvents(uint32_t events);

  Poller* poller_ = nullptr;
  Suspension* reader_ = nullptr;
  Suspension* writer_ = nullptr;
  int fd_ = -1;
  uint8_t ready_ = 0;
};

}  // namespace sluice
