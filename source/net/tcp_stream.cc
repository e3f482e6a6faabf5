// Synchronous first: an operation that need not wait costs one system call, and none that cannot
// give anything. Worker thread only.
#include "source/net/tcp_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "source/async/worker.h"
#include "source/base/reason.h"

namespace sluice {
namespace {

constexpr size_t kMaxParts = 16;

bool WouldBlock(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

}  // namespace

absl::Status SocketError(int error) {
  return MakeError(Reason::kConnectionTerminated,
                   ErrorCode(error, boost::system::system_category()).message());
}

TcpStream::TcpStream(int fd, const Address& remote) : fd_(fd), remote_(remote) {
  readiness_.Watch(Worker::Current()->poller(), fd);
}

absl::StatusOr<std::optional<size_t>> TcpStream::TryRead(absl::Span<char> buffer) {
  if (fd_ < 0) return MakeError(Reason::kCancelled);
  while (readiness_.readable()) {
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count >= 0) {
      if (static_cast<size_t>(count) < buffer.size()) readiness_.NoteShortRead();
      return static_cast<size_t>(count);
    }
    if (WouldBlock(errno)) {
      readiness_.NoteNothingToRead();
    } else if (errno != EINTR) {
      return SocketError(errno);
    }
  }
  return std::optional<size_t>();
}

Task<absl::StatusOr<size_t>> TcpStream::ReadSome(absl::Span<char> buffer) {
  const auto ready = TryRead(buffer);
  if (!ready.ok()) return ready.status();
  if (ready->has_value()) return **ready;
  return ReadLater(*this, buffer);
}

Task<absl::StatusOr<size_t>> TcpStream::ReadLater(TcpStream& self, absl::Span<char> buffer) {
  while (true) {
    if (!co_await self.readiness_.WaitReadable()) co_return MakeError(Reason::kCancelled);
    const auto ready = self.TryRead(buffer);
    if (!ready.ok()) co_return ready.status();
    if (ready->has_value()) co_return **ready;
  }
}

Waiting TcpStream::WaitReadable() {
  return SeesSomething() ? Waiting(true) : readiness_.WaitReadable();
}

// A read that was given all that it had room for says nothing about what is left: look.
bool TcpStream::SeesSomething() {
  if (!readiness_.readable()) return false;
  // Not a peek: that would take a reset away from the read that is to report it.
  pollfd state{fd_, POLLIN | POLLRDHUP, 0};
  if (::poll(&state, 1, 0) != 0) return true;
  readiness_.NoteNothingToRead();
  return false;
}

absl::StatusOr<size_t> TcpStream::TryWrite(absl::Span<const std::string_view> parts) {
  if (fd_ < 0) return MakeError(Reason::kCancelled);
  iovec vector[kMaxParts];
  msghdr message{};
  message.msg_iov = vector;
  size_t size = 0;
  for (std::string_view part : parts) {
    if (part.empty()) continue;
    vector[message.msg_iovlen++] = {const_cast<char*>(part.data()), part.size()};
    size += part.size();
  }
  if (size == 0) return size_t{0};
  while (true) {
    // One piece is sent without the system's way through a table of pieces.
    const ssize_t sent = message.msg_iovlen == 1
                             ? ::send(fd_, vector[0].iov_base, size, MSG_NOSIGNAL)
                             : ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      if (static_cast<size_t>(sent) < size) readiness_.NoteNoRoom();
      return static_cast<size_t>(sent);
    }
    if (WouldBlock(errno)) {
      readiness_.NoteNoRoom();
      return size_t{0};
    }
    if (errno != EINTR) return SocketError(errno);
  }
}

// What is left to write.
struct TcpStream::Parts {
  explicit Parts(absl::Span<const std::string_view> parts) : count(parts.size()) {
    std::copy(parts.begin(), parts.end(), all);
  }
  absl::Span<const std::string_view> left() const { return {all + first, count - first}; }
  /// True when nothing is left.
  bool Take(size_t sent) {
    while (first < count && sent >= all[first].size()) sent -= all[first++].size();
    if (first == count) return true;
    all[first].remove_prefix(sent);
    return false;
  }

  std::string_view all[kMaxParts];
  size_t first = 0;
  size_t count;
};

Task<absl::Status> TcpStream::Write(absl::Span<const std::string_view> parts) {
  const auto sent = TryWrite(parts);
  if (!sent.ok()) return sent.status();
  Parts left(parts);
  if (left.Take(*sent)) return absl::OkStatus();
  return WriteLater(*this, left);
}

Task<absl::Status> TcpStream::WriteLater(TcpStream& self, Parts parts) {
  while (true) {
    if (!co_await self.readiness_.WaitWritable()) co_return MakeError(Reason::kCancelled);
    const auto sent = self.TryWrite(parts.left());
    if (!sent.ok()) co_return sent.status();
    if (parts.Take(*sent)) co_return absl::OkStatus();
  }
}

absl::StatusOr<std::optional<size_t>> TcpStream::TryFill(Pipe& pipe) {
  if (fd_ < 0) return MakeError(Reason::kCancelled);
  while (readiness_.readable()) {
    // Little may come although much is there: a pipe counts pieces. So no count tells of the end.
    const ssize_t count = pipe.Fill(fd_);
    if (count >= 0) return static_cast<size_t>(count);
    if (WouldBlock(errno)) {
      readiness_.NoteNothingToRead();
    } else if (errno == EINVAL || errno == ENOSYS) {
      return absl::UnimplementedError("splice");
    } else if (errno != EINTR) {
      return SocketError(errno);
    }
  }
  return std::optional<size_t>();
}

absl::StatusOr<size_t> TcpStream::TryDrain(Pipe& pipe) {
  if (fd_ < 0) return MakeError(Reason::kCancelled);
  const size_t held = pipe.held();
  // Until it is empty or the system says that there is no room: only then it will say when there
  // is.
  while (pipe.held() > 0) {
    if (pipe.Drain(fd_) >= 0) continue;
    if (WouldBlock(errno)) {
      readiness_.NoteNoRoom();
      break;
    }
    if (errno != EINTR) return SocketError(errno);
  }
  return held - pipe.held();
}

Task<absl::Status> TcpStream::Drain(Pipe& pipe) {
  const auto moved = TryDrain(pipe);
  if (!moved.ok()) return moved.status();
  if (pipe.held() == 0) return absl::OkStatus();
  return DrainLater(*this, pipe);
}

Task<absl::Status> TcpStream::DrainLater(TcpStream& self, Pipe& pipe) {
  while (pipe.held() > 0) {
    if (!co_await self.readiness_.WaitWritable()) co_return MakeError(Reason::kCancelled);
    const auto moved = self.TryDrain(pipe);
    if (!moved.ok()) co_return moved.status();
  }
  co_return absl::OkStatus();
}

void TcpStream::ShutdownWrite() {
  if (write_ended_ || fd_ < 0) return;
  write_ended_ = true;
  ::shutdown(fd_, SHUT_WR);  // The peer may be gone already: then there is nobody to tell.
}

void TcpStream::Close(bool reset) {
  if (fd_ < 0) return;
  readiness_.Forget();
  const linger at_once{1, 0};
  if (reset) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  ::close(fd_);
  fd_ = -1;
}

Address TcpStream::local_address() const {
  if (local_.is_set() || fd_ < 0) return local_;
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length) == 0)
    local_ = Address::From(reinterpret_cast<sockaddr*>(&storage), length);
  return local_;
}

}  // namespace sluice
