// Accepting by hand, so that running out of descriptors is seen as what it is.
// See listen_socket.h for the threads.
#include "source/net/listen_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "source/async/worker.h"
#include "source/base/strings.h"
#include "source/net/tcp_stream.h"

namespace sluice {
namespace {

bool IsFile(const Address& address) {
  return address.family() == AF_UNIX && !address.ToString().starts_with('@');
}

absl::Status SystemError(std::string_view what, const Address& address) {
  return absl::UnavailableError(
      Cat("cannot ", what, " '", address.ToString(), "': ", std::strerror(errno)));
}

void SetOptions(int fd, const Address& address, const ListenOptions& options) {
  const int on = 1;
  if (!address.is_ip()) return;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (options.reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (address.family() == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
}

}  // namespace

absl::StatusOr<int> ListenSocket::Open(Address& address, const ListenOptions& options) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError("open a socket for", address);
  SetOptions(fd, address, options);
  if (IsFile(address)) ::unlink(address.ToString().c_str());
  if (::bind(fd, address.data(), address.size()) != 0 || ::listen(fd, options.backlog) != 0) {
    absl::Status status = SystemError("bind", address);
    ::close(fd);
    return status;
  }
  if (IsFile(address) && options.unix_mode != 0)
    ::chmod(address.ToString().c_str(), options.unix_mode);
  if (address.is_ip() && address.port() == 0) {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
    address = Address::From(reinterpret_cast<sockaddr*>(&storage), length);
  }
  return fd;
}

ListenSocket::ListenSocket(int fd) : fd_(fd) {
  readiness_.Watch(Worker::Current()->poller(), fd);
}

Task<bool> ListenSocket::WaitReadable() {
  return readiness_.WaitReadable();
}

absl::StatusOr<StreamPtr> ListenSocket::Accept() {
  while (fd_ >= 0 && readiness_.readable()) {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    const int fd = ::accept4(fd_, reinterpret_cast<sockaddr*>(&storage), &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      const Address remote = Address::From(reinterpret_cast<sockaddr*>(&storage), length);
      const int on = 1;
      if (remote.is_ip()) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return std::make_unique<TcpStream>(fd, remote);
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readiness_.NoteNothingToRead();
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return absl::ResourceExhaustedError(std::strerror(errno));
    }
  }
  return StreamPtr();
}

void ListenSocket::Close() {
  if (fd_ < 0) return;
  readiness_.Forget();
  ::close(std::exchange(fd_, -1));
}

}  // namespace sluice
