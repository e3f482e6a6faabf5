// The upstream of the benchmark: answers every request for `/N` with N bytes, after reading the
// request's body. One thread and one epoll; listens on all loopback addresses, so that many names
// may lead to it.
#include <algorithm>
#include <vector>

#include "test/bench/net.h"

namespace sluice::bench {
namespace {

struct Connection {
  int fd = -1;
  std::string in;         // a head that is not whole yet
  int64_t body_left = 0;  // bytes of the request's body that are still to come
  std::string out;        // head of the response, and its body when that is small
  size_t out_sent = 0;
  int64_t response_left = 0;  // bytes of a large body that are still to be sent
  int64_t answer = -1;        // size of the body to send when the request is whole
  bool writing = false;
  bool closing = false;
};

char g_buffer[256 * 1024];
const std::string g_filler(256 * 1024, 'x');

void Prepare(Connection* c) {
  char head[256];
  const int size = std::snprintf(
      head, sizeof head,
      "HTTP/1.1 200 OK\r\nserver: origin\r\ncontent-type: text/plain\r\ncache-control: no-cache\r\n"
      "etag: \"abc123\"\r\nx-origin: bench\r\ncontent-length: %lld\r\n%s\r\n",
      static_cast<long long>(c->answer), c->closing ? "connection: close\r\n" : "");
  c->out.append(head, static_cast<size_t>(size));
  if (c->answer <= 16 * 1024) {
    c->out.append(g_filler, 0, static_cast<size_t>(c->answer));
  } else {
    c->response_left += c->answer;
  }
  c->answer = -1;
}

// Takes whole requests out of `in`. A request with a body is answered once that has been read.
void Parse(Connection* c) {
  while (true) {
    if (c->body_left > 0) {
      const size_t take = std::min<size_t>(c->in.size(), static_cast<size_t>(c->body_left));
      c->in.erase(0, take);
      c->body_left -= static_cast<int64_t>(take);
      if (c->body_left > 0) return;
    }
    if (c->answer >= 0) Prepare(c);
    const size_t end = c->in.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string_view head(c->in.data(), end + 2);
    const size_t space = head.find(' ');
    const size_t slash = head.find('/', head.substr(space + 1, 7) == "http://" ? space + 8 : space);
    c->answer = slash == std::string_view::npos
                    ? 0
                    : std::max<int64_t>(0, std::atoll(head.data() + slash + 1));
    c->body_left = std::max<int64_t>(0, ContentLength(head));
    c->closing = head.find("onnection: close") != std::string_view::npos;
    c->in.erase(0, end + 4);
  }
}

// Sends what there is; false when the connection is to go.
bool Flush(int epoll, Connection* c) {
  while (c->out_sent < c->out.size() || c->response_left > 0) {
    const bool head = c->out_sent < c->out.size();
    const char* data = head ? c->out.data() + c->out_sent : g_filler.data();
    const size_t size =
        head ? c->out.size() - c->out_sent : std::min<size_t>(g_filler.size(), c->response_left);
    const ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) return false;
      if (!c->writing) Watch(epoll, c->fd, EPOLLIN | EPOLLOUT, c, false);
      c->writing = true;
      return true;
    }
    if (head) {
      c->out_sent += static_cast<size_t>(sent);
    } else {
      c->response_left -= sent;
    }
  }
  c->out.clear();
  c->out_sent = 0;
  if (c->writing) Watch(epoll, c->fd, EPOLLIN, c, false);
  c->writing = false;
  return !c->closing;
}

bool OnReadable(int epoll, Connection* c) {
  const ssize_t count = recv(c->fd, g_buffer, sizeof g_buffer, 0);
  if (count < 0) return errno == EAGAIN;
  if (count == 0) return false;
  std::string_view data(g_buffer, static_cast<size_t>(count));
  if (c->body_left > 0) {  // Bulk: no copy.
    const size_t take = std::min<size_t>(data.size(), static_cast<size_t>(c->body_left) - 1);
    c->body_left -= static_cast<int64_t>(take);
    data.remove_prefix(take);
  }
  c->in.append(data);
  Parse(c);
  return Flush(epoll, c);
}

Connection* MakeConnection(int fd) {
  auto* c = new Connection;
  c->fd = fd;
  return c;
}

void Accept(int epoll, int listener) {
  while (true) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    SetNoDelay(fd);
    Watch(epoll, fd, EPOLLIN, MakeConnection(fd), true);
  }
}

int Run(int argc, char** argv) {
  const int listener = Listen(static_cast<uint16_t>(Number(argc, argv, "--port", 0)), true);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  Watch(epoll, listener, EPOLLIN, nullptr, true);
  std::vector<epoll_event> events(256);
  while (true) {
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* c = static_cast<Connection*>(events[i].data.ptr);
      if (c == nullptr) {
        Accept(epoll, listener);
        continue;
      }
      bool stays = true;
      if ((events[i].events & EPOLLOUT) != 0) stays = Flush(epoll, c);
      if (stays && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        stays = OnReadable(epoll, c);
      if (stays) continue;
      close(c->fd);
      delete c;
    }
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  return sluice::bench::Run(argc, argv);
}
