// Accepting by hand, so that running out of descriptors is seen as what it is.
// See listen_socket.h for the threads.
#include "source/net/listen_socket.h"

#include <linux/netfilter_ipv4.h>
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

// False with errno where the system refuses what was asked for.
bool Set(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

bool SetMore(int fd, const ListenOptions& options, SocketOption::When when) {
  for (const SocketOption& option : options.more) {
    if (option.when != when) continue;
    if (::setsockopt(fd, option.level, option.name, option.value.data(),
                     static_cast<socklen_t>(option.value.size())) != 0)
      return false;
  }
  return true;
}

bool SetOptions(int fd, const Address& address, const ListenOptions& options) {
  if (!address.is_ip()) return SetMore(fd, options, SocketOption::When::kBeforeBind);
  const bool v6 = address.family() == AF_INET6;
  Set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port) Set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (v6) Set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options.freebind && !Set(fd, IPPROTO_IP, IP_FREEBIND, 1)) return false;
  if (options.transparent &&
      !(v6 ? Set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1) : Set(fd, IPPROTO_IP, IP_TRANSPARENT, 1)))
    return false;
  if (options.fast_open_queue.has_value() &&
      !Set(fd, IPPROTO_TCP, TCP_FASTOPEN, *options.fast_open_queue))
    return false;
  // Accepted connections inherit it.
  if (options.keep_alive.has_value() && !SetKeepAlive(fd, *options.keep_alive)) return false;
  return SetMore(fd, options, SocketOption::When::kBeforeBind);
}

// Where the client had connected to before the system redirected it to us; unset where it did not.
Address OriginalDestination(int fd, int family) {
  constexpr int kIpv6OriginalDst = 80;  // IP6T_SO_ORIGINAL_DST, whose header does not compile here
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  const bool v6 = family == AF_INET6;
  const int level = v6 ? static_cast<int>(IPPROTO_IPV6) : static_cast<int>(IPPROTO_IP);
  if (::getsockopt(fd, level, v6 ? kIpv6OriginalDst : SO_ORIGINAL_DST, &storage, &length) != 0)
    return Address();
  return Address::From(reinterpret_cast<sockaddr*>(&storage), length);
}

}  // namespace

absl::StatusOr<int> ListenSocket::Open(Address& address, const ListenOptions& options) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError("open a socket for", address);
  const bool set = SetOptions(fd, address, options);
  if (set && IsFile(address)) ::unlink(address.ToString().c_str());
  if (!set || ::bind(fd, address.data(), address.size()) != 0 ||
      !SetMore(fd, options, SocketOption::When::kBound) || ::listen(fd, options.backlog) != 0 ||
      !SetMore(fd, options, SocketOption::When::kListening)) {
    absl::Status status = SystemError(set ? "bind" : "set the socket options of", address);
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

ListenSocket::ListenSocket(int fd, bool original_destination)
    : fd_(fd), original_destination_(original_destination) {
  readiness_.Watch(Worker::Current()->poller(), fd);
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
      auto stream = std::make_unique<TcpStream>(fd, remote);
      if (original_destination_ && remote.is_ip())
        stream->set_local_address(OriginalDestination(fd, remote.family()));
      return stream;
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
