// The null relay: copies bytes between each client and a connection of its own to the upstream, and
// looks at none. It is the floor of what any proxy can cost. One thread, one epoll.
#include <algorithm>
#include <vector>

#include "test/bench/net.h"

namespace sluice::bench {
namespace {

struct Pair;

struct Side {
  Pair* pair;
  int fd;
  Side* other;
  std::string
      waiting;  // bytes that `fd` did not take yet; while there are any, `other` is not read
  uint32_t events = EPOLLIN;
};

struct Pair {
  Side client;
  Side upstream;
  bool dead = false;
};

char g_buffer[256 * 1024];

void Await(int epoll, Side* side, uint32_t events) {
  if (side->events == events) return;
  side->events = events;
  Watch(epoll, side->fd, events, side, false);
}

// Sends bytes to `to`; false on an error.
bool Send(int epoll, Side* to, const char* data, size_t size) {
  ssize_t sent = send(to->fd, data, size, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return false;
  sent = std::max<ssize_t>(sent, 0);
  if (static_cast<size_t>(sent) == size) return true;
  to->waiting.assign(data + sent, size - static_cast<size_t>(sent));
  Await(epoll, to, to->events | EPOLLOUT);
  Await(epoll, to->other, to->other->events & ~static_cast<uint32_t>(EPOLLIN));
  return true;
}

bool OnWritable(int epoll, Side* side) {
  const ssize_t sent = send(side->fd, side->waiting.data(), side->waiting.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN;
  side->waiting.erase(0, static_cast<size_t>(sent));
  if (!side->waiting.empty()) return true;
  Await(epoll, side, side->events & ~static_cast<uint32_t>(EPOLLOUT));
  Await(epoll, side->other, side->other->events | EPOLLIN);
  return true;
}

bool OnReadable(int epoll, Side* side) {
  const ssize_t count = recv(side->fd, g_buffer, sizeof g_buffer, 0);
  if (count < 0) return errno == EAGAIN;
  return count > 0 && Send(epoll, side->other, g_buffer, static_cast<size_t>(count));
}

void Accept(int epoll, int listener, uint16_t upstream) {
  while (true) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    SetNoDelay(fd);
    const int peer = Dial(upstream);
    if (peer < 0) {
      close(fd);
      continue;
    }
    auto* pair =
        new Pair{{nullptr, fd, nullptr, "", EPOLLIN}, {nullptr, peer, nullptr, "", EPOLLIN}};
    pair->client.pair = pair->upstream.pair = pair;
    pair->client.other = &pair->upstream;
    pair->upstream.other = &pair->client;
    Watch(epoll, fd, EPOLLIN, &pair->client, true);
    Watch(epoll, peer, EPOLLIN, &pair->upstream, true);
  }
}

int Run(int argc, char** argv) {
  const int listener = Listen(static_cast<uint16_t>(Number(argc, argv, "--port", 0)), false);
  const auto upstream = static_cast<uint16_t>(Number(argc, argv, "--upstream", 0));
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  Watch(epoll, listener, EPOLLIN, nullptr, true);
  std::vector<epoll_event> events(256);
  std::vector<Pair*> dead;
  while (true) {
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* side = static_cast<Side*>(events[i].data.ptr);
      if (side == nullptr) {
        Accept(epoll, listener, upstream);
        continue;
      }
      if (side->pair->dead) continue;
      bool stays = true;
      if ((events[i].events & EPOLLOUT) != 0) stays = OnWritable(epoll, side);
      if (stays && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        stays = OnReadable(epoll, side);
      if (stays) continue;
      side->pair->dead = true;
      close(side->pair->client.fd);
      close(side->pair->upstream.fd);
      dead.push_back(side->pair);
    }
    // Only now: the same round may hold an event of the other side.
    for (Pair* pair : dead) delete pair;
    dead.clear();
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  return sluice::bench::Run(argc, argv);
}
