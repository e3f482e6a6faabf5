// Pipe: a pipe of the system through which bytes go from one socket to another without being copied
// into this process (splice(2)). From a pool of the thread that takes it, and used by that thread
// only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <utility>

namespace sluice {

class Pipe {
 public:
  static constexpr size_t kSize = 256 * 1024;

  /// A pipe that holds kSize bytes; one that is false where the system gives none (no descriptors
  /// left, or its limit on pipes is reached).
  static Pipe Take();

  Pipe() = default;
  Pipe(Pipe&& other) noexcept
      : in_(std::exchange(other.in_, -1)),
        out_(std::exchange(other.out_, -1)),
        held_(std::exchange(other.held_, 0)) {}
  Pipe& operator=(Pipe&& other) noexcept {
    std::swap(in_, other.in_);
    std::swap(out_, other.out_);
    std::swap(held_, other.held_);
    return *this;
  }
  /// An empty pipe goes back to the pool; what a full one holds is lost.
  ~Pipe();

  explicit operator bool() const { return in_ >= 0; }
  size_t held() const { return held_; }

  /// Moves what is to be read from the socket `fd` into the pipe, which is empty, without waiting:
  /// the number of bytes, 0 for the end, or -1 with errno.
  ssize_t Fill(int fd);
  /// Moves what the pipe holds into the socket `fd`, as much as goes without waiting: the number of
  /// bytes, or -1 with errno.
  ssize_t Drain(int fd);

 private:
  friend class PipePool;
  int in_ = -1;
  int out_ = -1;
  size_t held_ = 0;
};

}  // namespace sluice
