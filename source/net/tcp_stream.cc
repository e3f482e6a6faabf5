// Synchronous first: an operation that need not wait costs one system call and no trip through the
// reactor. Worker thread only.
#include "source/net/tcp_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>

#include <boost/asio/buffer.hpp>

#include "source/base/reason.h"

namespace sluice {
namespace {

constexpr size_t kMaxParts = 16;

bool WouldBlock(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

absl::Status Errno(int error) {
  return SocketError(ErrorCode(error, boost::system::system_category()));
}

}  // namespace

absl::Status SocketError(const ErrorCode& error) {
  if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
    return MakeError(Reason::kCancelled);
  return MakeError(Reason::kConnectionTerminated, error.message());
}

TcpStream::TcpStream(Socket socket, Address remote) : socket_(std::move(socket)), remote_(remote) {}

Task<absl::StatusOr<size_t>> TcpStream::ReadSome(absl::Span<char> buffer) {
  if (Cancelled(co_await kCancelState)) co_return MakeError(Reason::kCancelled);
  auto [error, count] =
      co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), kAwait);
  if (error == asio::error::eof) co_return size_t{0};
  if (error) co_return SocketError(error);
  co_return count;
}

absl::StatusOr<std::optional<size_t>> TcpStream::TryRead(absl::Span<char> buffer) {
  if (!socket_.is_open()) return MakeError(Reason::kCancelled);
  while (true) {
    const ssize_t count = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
    if (count >= 0) return static_cast<size_t>(count);
    if (WouldBlock(errno)) return std::optional<size_t>();
    if (errno != EINTR) return Errno(errno);
  }
}

Task<absl::Status> TcpStream::WaitReadable() {
  if (Cancelled(co_await kCancelState)) co_return MakeError(Reason::kCancelled);
  auto [error] = co_await socket_.async_wait(Socket::wait_read, kAwait);
  if (error) co_return SocketError(error);
  co_return absl::OkStatus();
}

absl::StatusOr<size_t> TcpStream::TryWrite(absl::Span<const std::string_view> parts) {
  if (!socket_.is_open()) return MakeError(Reason::kCancelled);
  iovec vector[kMaxParts];
  msghdr message{};
  message.msg_iov = vector;
  for (std::string_view part : parts) {
    if (!part.empty()) vector[message.msg_iovlen++] = {const_cast<char*>(part.data()), part.size()};
  }
  if (message.msg_iovlen == 0) return size_t{0};
  while (true) {
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (WouldBlock(errno)) return size_t{0};
    if (errno != EINTR) return Errno(errno);
  }
}

Task<absl::Status> TcpStream::Write(absl::Span<const std::string_view> parts) {
  std::string_view rest[kMaxParts];
  absl::Span<std::string_view> left(rest, parts.size());
  std::copy(parts.begin(), parts.end(), rest);
  while (true) {
    auto sent = TryWrite(left);
    if (!sent.ok()) co_return sent.status();
    while (!left.empty() && *sent >= left.front().size()) {
      *sent -= left.front().size();
      left.remove_prefix(1);
    }
    if (left.empty()) co_return absl::OkStatus();
    left.front().remove_prefix(*sent);
    if (Cancelled(co_await kCancelState)) co_return MakeError(Reason::kCancelled);
    auto [error] = co_await socket_.async_wait(Socket::wait_write, kAwait);
    if (error) co_return SocketError(error);
  }
}

void TcpStream::ShutdownWrite() {
  if (write_ended_ || !socket_.is_open()) return;
  write_ended_ = true;
  ErrorCode ignored;  // The peer may be gone already: then there is nobody to tell.
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void TcpStream::Close(bool reset) {
  if (!socket_.is_open()) return;
  ErrorCode ignored;
  if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
}

Address TcpStream::local_address() const {
  if (local_.is_set() || !socket_.is_open()) return local_;
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getsockname(const_cast<Socket&>(socket_).native_handle(),
                    reinterpret_cast<sockaddr*>(&storage), &length) == 0) {
    local_ = Address::From(reinterpret_cast<sockaddr*>(&storage), length);
  }
  return local_;
}

}  // namespace sluice
