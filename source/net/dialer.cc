// Connecting, one address and several. Worker threads.
#include "source/net/dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "source/async/poller.h"
#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/net/tcp_stream.h"

namespace sluice {
namespace {

constexpr Duration kAttemptDelay = std::chrono::milliseconds(300);

// A descriptor that is closed unless it was taken.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int Take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::Status Refused(int error) {
  return MakeError(Reason::kConnectRefused,
                   ErrorCode(error, boost::system::system_category()).message());
}

// Waits for the outcome of a connect that was begun: 0, an error number, or nothing when cancelled.
Task<std::optional<int>> Outcome(int fd) {
  Readiness readiness;
  readiness.Watch(Worker::Current()->poller(), fd);
  if (!co_await readiness.WaitWritable()) co_return std::nullopt;
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  co_return error;
}

// Gives the socket the source address that goes with `to`. Where only the other family has one
// bind() refuses it, as in Envoy: nothing leaves from an address that nobody has configured.
absl::Status BindSource(int fd, const Address& to, const DialOptions::Sources& sources) {
  if (!to.is_ip() || sources.addresses.empty()) return absl::OkStatus();
  auto found = std::find_if(sources.addresses.begin(), sources.addresses.end(),
                            [&](const Address& source) { return source.family() == to.family(); });
  if (found == sources.addresses.end()) found = sources.addresses.begin();
  const int on = 1;
  if (sources.free_bind) ::setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
  // The port is chosen when the destination is known: so many more connections fit.
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  if (::bind(fd, found->data(), found->size()) == 0) return absl::OkStatus();
  const std::string why = std::generic_category().message(errno);
  sources.errors.Add();
  return MakeError(Reason::kBindFailed, Cat("failed to bind to ", found->ToString(), ": ", why));
}

class SystemDialer final : public Dialer {
 public:
  Task<absl::StatusOr<StreamPtr>> Dial(Address address, DialOptions options) const override {
    if (co_await kIsCancelled) co_return MakeError(Reason::kCancelled);
    Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                               address.is_ip() ? IPPROTO_TCP : 0));
    if (socket.get() < 0) co_return Refused(errno);
    const int on = 1;
    if (address.is_ip()) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (options.keep_alive.has_value()) SetKeepAlive(socket.get(), *options.keep_alive);
    if (options.sources != nullptr) {
      if (absl::Status bound = BindSource(socket.get(), address, *options.sources); !bound.ok())
        co_return bound;
    }
    if (::connect(socket.get(), address.data(), address.size()) != 0) {
      if (errno != EINPROGRESS) co_return Refused(errno);
      const std::optional<int> error = co_await Outcome(socket.get());
      if (!error.has_value()) co_return MakeError(Reason::kCancelled);
      if (*error != 0) co_return Refused(*error);
    }
    co_return std::make_unique<TcpStream>(socket.Take(), address);
  }
};

// What the attempts of one Connect share; lives in its frame.
struct Race {
  const Dialer& dialer;
  const DialOptions& options;
  Event changed{};
  size_t running = 0;
  absl::StatusOr<StreamPtr> result = MakeError(Reason::kConnectRefused, "no address");
};

Task<> Attempt(Race& race, Address address) {
  absl::StatusOr<StreamPtr> stream = co_await race.dialer.Dial(address, race.options);
  --race.running;
  // A winner that comes second is closed here, by its destructor.
  if (!race.result.ok() && (stream.ok() || ReasonOf(stream.status()) != Reason::kCancelled))
    race.result = std::move(stream);
  race.changed.Set();
}

Task<> RunRace(Race& race, std::vector<Address> addresses) {
  Scope scope;
  bool cancelled = false;
  for (size_t next = 0;
       !cancelled && !race.result.ok() && (next < addresses.size() || race.running > 0);) {
    if (next < addresses.size()) {
      ++race.running;
      scope.Spawn(Attempt(race, addresses[next++]));
    }
    race.changed.Clear();
    if (race.result.ok() || race.running == 0) continue;
    const Duration patience = next < addresses.size() ? kAttemptDelay : Duration::max();
    cancelled = !co_await race.changed.WaitFor(patience);
  }
  if (cancelled) race.result = MakeError(Reason::kCancelled);
  scope.Cancel();
  co_await scope.Join();
}

}  // namespace

bool SetKeepAlive(int fd, const DialOptions::KeepAlive& keep_alive) {
  bool all = true;
  const auto set = [&](int level, int name, std::optional<int> value) {
    if (value.has_value() && ::setsockopt(fd, level, name, &*value, sizeof(int)) != 0) all = false;
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPCNT, keep_alive.probes);
  set(IPPROTO_TCP, TCP_KEEPIDLE, keep_alive.idle_seconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, keep_alive.interval_seconds);
  return all;
}

const Dialer& SocketDialer() {
  static const SystemDialer dialer;
  return dialer;
}

Task<absl::StatusOr<StreamPtr>> Connect(Worker& worker, Canceller& canceller, const Dialer& dialer,
                                        std::vector<Address> addresses, DialOptions options,
                                        Duration timeout) {
  Deadline deadline(worker.wheel(), canceller, timeout);
  absl::StatusOr<StreamPtr> result = MakeError(Reason::kConnectRefused, "no address");
  if (addresses.size() == 1) {
    result = co_await dialer.Dial(addresses[0], options);
  } else {
    Race race{dialer, options};
    co_await RunRace(race, std::move(addresses));
    result = std::move(race.result);
  }
  if (deadline.Expired() && !result.ok()) co_return MakeError(Reason::kConnectTimeout);
  co_return std::move(result);
}

}  // namespace sluice
