// The load generator: closed loop, open loop at a rate, one connection per request, or idle
// connections. One thread, one epoll; prints one JSON object. Everything is bounded: requests by
// --requests, time by --seconds.
//
//   --port N            the proxy on 127.0.0.1
//   --head FILE         the request's head; every {n} in it becomes a number below --names, in turn
//   --connections N     64          --requests N   in all, 1000       --seconds S   give up after,
//   30
//   --body N            bytes of body to send after the head
//   --preface FILE      sent first on every connection, answered by one head (CONNECT)
//   --churn 1           a new connection for each request
//   --rate R            open loop: R requests a second, latency from when a request was due
//   --idle 1            one request on each connection, then prints `ready` and holds them until
//   stdin ends
//   --await 1           tries until the first response arrives and prints the monotonic clock then
#include <algorithm>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "test/bench/net.h"

namespace sluice::bench {
namespace {

constexpr int64_t kIdleAtOnce = 16;

char g_buffer[256 * 1024];
const std::string g_filler(256 * 1024, 'y');

std::string ReadFile(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Options {
  Options(int argc, char** argv)
      : port(static_cast<uint16_t>(Number(argc, argv, "--port", 0))),
        connections(Number(argc, argv, "--connections", 64)),
        requests(Number(argc, argv, "--requests", 1000)),
        seconds(Number(argc, argv, "--seconds", 30)),
        body(Number(argc, argv, "--body", 0)),
        names(Number(argc, argv, "--names", 1)),
        rate(Number(argc, argv, "--rate", 0)),
        churn(Number(argc, argv, "--churn", 0) != 0),
        idle(Number(argc, argv, "--idle", 0) != 0),
        await(Number(argc, argv, "--await", 0) != 0),
        head(ReadFile(Option(argc, argv, "--head", ""))),
        preface(ReadFile(Option(argc, argv, "--preface", ""))) {}
  uint16_t port;
  int64_t connections, requests, seconds, body, names, rate;
  bool churn, idle, await;
  std::string head, preface;
};

struct Connection {
  int fd = -1;
  enum { kPreface, kFree, kBusy } state = kFree;
  std::string out;  // bytes to send that are no body
  size_t out_sent = 0;
  int64_t upload_left = 0;
  std::string in;          // of a head that is not whole yet
  int64_t body_left = -1;  // of the response; -1: its head is awaited
  uint64_t started = 0;
  bool writing = false;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    latencies_.reserve(static_cast<size_t>(options_.requests));
  }

  int Run() {
    const uint64_t begin = NowNs();
    give_up_ = begin + static_cast<uint64_t>(options_.seconds) * 1'000'000'000u;
    if (options_.await) return Await();
    const int64_t count = std::min(options_.connections, std::max<int64_t>(1, options_.requests));
    connections_.resize(static_cast<size_t>(count));
    for (auto& c : connections_) {
      c = std::make_unique<Connection>();
      // Idle connections come up a few at a time, so that the upstream side needs only a few.
      if (!options_.idle) Open(c.get());
    }
    if (options_.idle) return Idle();
    rate_begin_ = NowNs();
    while (done_ + errors_ < options_.requests && NowNs() < give_up_) Turn();
    const double seconds = static_cast<double>(NowNs() - begin) / 1e9;
    std::sort(latencies_.begin(), latencies_.end());
    std::printf(
        "{\"requests\": %lld, \"errors\": %lld, \"seconds\": %.6f, \"bytes\": %lld, \"p50_us\": "
        "%.1f, "
        "\"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
        static_cast<long long>(done_),
        static_cast<long long>(errors_ + options_.requests - done_ - errors_), seconds,
        static_cast<long long>(bytes_), Percentile(.5), Percentile(.9), Percentile(.99),
        Percentile(.999));
    return 0;
  }

 private:
  double Percentile(double p) const {
    if (latencies_.empty()) return 0;
    const auto at = static_cast<size_t>(p * static_cast<double>(latencies_.size()));
    return static_cast<double>(latencies_[std::min(at, latencies_.size() - 1)]) / 1e3;
  }

  void Open(Connection* c) {
    c->fd = Dial(options_.port);
    if (c->fd < 0) Die("connect");
    c->out.clear();
    c->out_sent = 0;
    c->in.clear();
    c->body_left = -1;
    c->writing = true;
    Watch(epoll_, c->fd, EPOLLIN | EPOLLOUT, c, true);
    if (!options_.preface.empty()) {
      c->state = Connection::kPreface;
      c->out = options_.preface;
    } else {
      Next(c);
    }
  }

  // Starts the next request on a free connection, or lets it wait for one that is due.
  void Next(Connection* c) {
    c->state = Connection::kFree;
    if (options_.rate > 0) {
      free_.push_back(c);
      return;
    }
    if (started_ < options_.requests) Start(c, NowNs());
  }

  void Start(Connection* c, uint64_t due) {
    c->state = Connection::kBusy;
    c->started = due;
    c->out.clear();
    c->out_sent = 0;
    const std::string number = std::to_string(started_ % options_.names);
    size_t from = 0;
    for (size_t at; (at = options_.head.find("{n}", from)) != std::string::npos; from = at + 3) {
      c->out.append(options_.head, from, at - from);
      c->out += number;
    }
    c->out.append(options_.head, from);
    c->upload_left = options_.body;
    ++started_;
    if (!c->writing) Flush(c);
  }

  // One round of events, and the requests of an open loop that are due.
  void Turn() {
    int timeout = 100;
    if (options_.rate > 0) timeout = StartDue();
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, 256, timeout);
    for (int i = 0; i < count; ++i) {
      auto* c = static_cast<Connection*>(events[i].data.ptr);
      bool fine = true;
      if ((events[i].events & EPOLLOUT) != 0) fine = Flush(c);
      if (fine && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) fine = OnReadable(c);
      if (!fine) Failed(c);
    }
  }

  int StartDue() {
    while (started_ < options_.requests && !free_.empty()) {
      const uint64_t due = rate_begin_ + static_cast<uint64_t>(static_cast<double>(started_) * 1e9 /
                                                               static_cast<double>(options_.rate));
      if (due > NowNs()) return due - NowNs() > 2'000'000 ? 1 : 0;
      Connection* c = free_.front();
      free_.pop_front();
      Start(c, due);
    }
    return 1;
  }

  void Failed(Connection* c) {
    close(c->fd);
    if (c->state != Connection::kFree) ++errors_;
    if (std::find(free_.begin(), free_.end(), c) != free_.end())
      free_.erase(std::find(free_.begin(), free_.end(), c));
    if (done_ + errors_ < options_.requests) Open(c);
  }

  bool Flush(Connection* c) {
    while (c->out_sent < c->out.size() || c->upload_left > 0) {
      const bool head = c->out_sent < c->out.size();
      const char* data = head ? c->out.data() + c->out_sent : g_filler.data();
      const size_t size =
          head ? c->out.size() - c->out_sent : std::min<size_t>(g_filler.size(), c->upload_left);
      const ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno != EAGAIN) return false;
        if (!c->writing) Watch(epoll_, c->fd, EPOLLIN | EPOLLOUT, c, false);
        c->writing = true;
        return true;
      }
      if (head) {
        c->out_sent += static_cast<size_t>(sent);
      } else {
        c->upload_left -= sent;
        bytes_ += sent;
      }
    }
    if (c->writing) Watch(epoll_, c->fd, EPOLLIN, c, false);
    c->writing = false;
    return true;
  }

  bool OnReadable(Connection* c) {
    const ssize_t count = recv(c->fd, g_buffer, sizeof g_buffer, 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    std::string_view data(g_buffer, static_cast<size_t>(count));
    if (c->body_left < 0) {
      c->in.append(data);
      const size_t end = c->in.find("\r\n\r\n");
      if (end == std::string::npos) return true;
      const std::string_view head(c->in.data(), end + 2);
      if (head.size() < 12 || head[9] != '2') {
        if (complaints_++ == 0)
          std::fprintf(stderr, "load: answered %.*s\n", static_cast<int>(head.size()), head.data());
        return false;
      }
      if (c->state == Connection::kPreface) {
        c->in.clear();
        Next(c);
        return true;
      }
      c->body_left = ContentLength(head);
      if (c->body_left < 0) return false;
      const auto rest = static_cast<int64_t>(c->in.size() - end - 4);
      bytes_ += rest;
      c->body_left -= rest;
      c->in.clear();
    } else {
      bytes_ += count;
      c->body_left -= count;
    }
    if (c->body_left > 0) return true;
    c->body_left = -1;
    ++done_;
    latencies_.push_back(NowNs() - c->started);
    if (options_.churn) {
      close(c->fd);
      if (started_ < options_.requests) Open(c);
      return true;
    }
    Next(c);
    return true;
  }

  int Idle() {
    const auto all = static_cast<int64_t>(connections_.size());
    for (options_.requests = 0; options_.requests < all && errors_ == 0 && NowNs() < give_up_;) {
      const int64_t from = options_.requests;
      options_.requests = std::min(all, from + kIdleAtOnce);
      for (int64_t i = from; i < options_.requests; ++i)
        Open(connections_[static_cast<size_t>(i)].get());
      while (done_ < options_.requests && errors_ == 0 && NowNs() < give_up_) Turn();
    }
    std::printf("ready %lld %lld\n", static_cast<long long>(done_),
                static_cast<long long>(errors_));
    std::fflush(stdout);
    while (std::getchar() != EOF) continue;
    return 0;
  }

  int Await() {
    while (NowNs() < give_up_) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = Loopback(options_.port);
      char answer[16];
      if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
          send(fd, options_.head.data(), options_.head.size(), MSG_NOSIGNAL) > 0 &&
          recv(fd, answer, sizeof answer, 0) >= 12 && answer[9] == '2') {
        std::printf("%llu\n", static_cast<unsigned long long>(NowNs()));
        return 0;
      }
      close(fd);
      usleep(200);
    }
    return 1;
  }

  Options options_;
  int epoll_;
  uint64_t give_up_ = 0;
  uint64_t rate_begin_ = 0;
  int64_t started_ = 0, done_ = 0, errors_ = 0, bytes_ = 0, complaints_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::deque<Connection*> free_;  // open loop: connections without a request
  std::vector<uint64_t> latencies_;
};

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  return sluice::bench::Load(sluice::bench::Options(argc, argv)).Run();
}
