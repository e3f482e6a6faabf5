// What the programs of the benchmark share: sockets, epoll, command-line options. Single-threaded.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

namespace sluice::bench {

// Ends the program with a message and the reason in errno.
[[noreturn]] inline void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

// Nanoseconds of the monotonic clock, the one that Python's time.monotonic_ns() reads.
inline uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// The value of `--name VALUE`, or `fallback`.
inline std::string Option(int argc, char** argv, std::string_view name, std::string fallback) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (argv[i] == name) return argv[i + 1];
  }
  return fallback;
}

inline int64_t Number(int argc, char** argv, std::string_view name, int64_t fallback) {
  return std::atoll(Option(argc, argv, name, std::to_string(fallback)).c_str());
}

inline sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

inline void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// A listening socket on `port`, of 127.0.0.1 or, with `all_loopback`, of every 127.x.y.z (bound to
// all addresses).
inline int Listen(uint16_t port, bool all_loopback) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = Loopback(port);
  if (all_loopback) address.sin_addr.s_addr = htonl(INADDR_ANY);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("bind");
  if (listen(fd, 4096) != 0) Die("listen");
  return fd;
}

// Starts to connect to 127.0.0.1:port; -1 when that fails at once.
inline int Dial(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  SetNoDelay(fd);
  const sockaddr_in address = Loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EINPROGRESS)
    return fd;
  close(fd);
  return -1;
}

// Adds to or changes in `epoll` what is awaited of `fd`; `tag` comes back with its events.
inline void Watch(int epoll, int fd, uint32_t events, void* tag, bool add) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = tag;
  if (epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) Die("epoll_ctl");
}

// The number after "content-length:" in a head, or -1.
inline int64_t ContentLength(std::string_view head) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  for (size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    if (head.size() - at < kName.size()) break;
    if (strncasecmp(head.data() + at, kName.data(), kName.size()) == 0) {
      return std::atoll(std::string(head.substr(at + kName.size(), 20)).c_str());
    }
  }
  return -1;
}

}  // namespace sluice::bench
