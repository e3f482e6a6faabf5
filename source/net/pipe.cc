// The pool of pipes. Each thread has its own.
#include "source/net/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

namespace sluice {

class PipePool {
 public:
  static constexpr size_t kKept = 16;

  ~PipePool() {
    for (Pipe& pipe : idle_) Close(pipe);
    closed_ = true;
  }

  Pipe Take() {
    if (!idle_.empty()) {
      Pipe pipe = std::move(idle_.back());
      idle_.pop_back();
      return pipe;
    }
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return {};
    Pipe pipe;
    pipe.in_ = ends[1];
    pipe.out_ = ends[0];
    // A smaller one would cost more calls than it saves copies.
    if (::fcntl(pipe.in_, F_SETPIPE_SZ, static_cast<int>(Pipe::kSize)) <
        static_cast<int>(Pipe::kSize))
      Close(pipe);
    return pipe;
  }

  void Put(Pipe pipe) {
    if (closed_ || pipe.held_ > 0 || idle_.size() >= kKept) return Close(pipe);
    idle_.push_back(std::move(pipe));
  }

 private:
  static void Close(Pipe& pipe) {
    ::close(std::exchange(pipe.in_, -1));
    ::close(std::exchange(pipe.out_, -1));
  }

  std::vector<Pipe> idle_;
  bool closed_ = false;
};

namespace {
thread_local PipePool pool;
}

Pipe Pipe::Take() {
  return pool.Take();
}

Pipe::~Pipe() {
  if (in_ >= 0) pool.Put(std::move(*this));
}

ssize_t Pipe::Fill(int fd) {
  const ssize_t count =
      ::splice(fd, nullptr, in_, nullptr, kSize, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (count > 0) held_ += static_cast<size_t>(count);
  return count;
}

ssize_t Pipe::Drain(int fd) {
  const ssize_t count =
      ::splice(out_, nullptr, fd, nullptr, held_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (count > 0) held_ -= static_cast<size_t>(count);
  return count;
}

}  // namespace sluice
