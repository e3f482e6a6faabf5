// See run.h. A run has the main worker and one worker, each with its thread; scripts play on the
// latter, beside the proxy.
#include "test/case_runner/run.h"

#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <list>

#include "absl/strings/str_join.h"
#include "extensions/builtin.h"
#include "source/config/loader.h"
#include "source/net/tcp_stream.h"
#include "source/server/clusters/cluster_factory.h"
#include "source/server/listeners/listener_factory.h"
#include "source/upstream/cluster_manager.h"
#include "source/upstream/dns/dns_cache_manager.h"
#include "test/case_runner/player.h"

namespace sluice::cases {
namespace {

constexpr Duration kPatience = std::chrono::seconds(8);
constexpr Duration kPoll = std::chrono::milliseconds(1);

const Registry& Extensions() {
  static const Registry* registry = [] {
    auto* made = new Registry;
    RegisterBuiltinExtensions(*made);
    return made;
  }();
  return *registry;
}

// An upstream's socket; in memory an address that nobody else has.
class Door {
 public:
  explicit Door(Transport transport) {
    static uint16_t next_port = 1000;
    if (transport == Transport::kMemory) {
      address_ =
          Address::Ipv4(INADDR_LOOPBACK, next_port == 60000 ? next_port = 1000 : next_port++);
      return;
    }
    address_ = Address::Ipv4(INADDR_LOOPBACK, 0);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    if (::bind(fd_, address_.data(), address_.size()) != 0 || ::listen(fd_, 16) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
      std::abort();
    }
    address_ = Address::From(reinterpret_cast<sockaddr*>(&storage), length);
  }
  const Address& address() const { return address_; }
  int Take() { return std::exchange(fd_, -1); }
  ~Door() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  Address address_;
  int fd_ = -1;
};

// An upstream: plays one script on each connection that comes. On the worker.
struct Upstream {
  Upstream(std::string name, Transport transport) : name(std::move(name)), door(transport) {}
  const std::string name;
  Door door;
  const std::vector<Script>* scripts = nullptr;
  size_t connections = 0;
  std::list<Player> players;
};

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options), network_({.chunking = options.chunking, .seed = options.seed}) {}

  std::vector<std::string> Play(const std::string& text);

 private:
  // What the server holds, in its order.
  struct Proxy {
    Proxy(const Dialer& dialer, uint64_t seed)
        : main(Worker::kMain, seed),
          access_logs(stats.Root()),
          dns_caches(main, 1, stats),
          clusters(1, stats.Root().Sub("cluster_manager")),
          context{main,         1,      stats,      access_logs, dns_caches, clusters,
                  Extensions(), dialer, diagnostics},
          budget(1000) {
      workers.push_back(std::make_unique<Worker>(0, seed));
    }
    stats::Store stats;
    config::Diagnostics diagnostics;
    Worker main;
    std::vector<std::unique_ptr<Worker>> workers;
    AccessLogManager access_logs;
    DnsCacheManager dns_caches;
    ClusterManager clusters;
    ServerContext context;
    ConnectionBudget budget;
    std::unique_ptr<Listener> listener;
  };

  absl::Status Prepare(const std::string& text);
  absl::Status Build();
  void Serve();
  void CheckLog();
  void Fail(const std::string& what) { failures_.push_back(what); }
  Worker& worker() { return *proxy_->workers[0]; }

  static Task<> Drive(Run& run, Canceller& canceller, std::promise<void>& done);
  Task<absl::StatusOr<StreamPtr>> ConnectClient();
  Task<> WaitForPeers();
  static Task<> AcceptAll(Run& run, Upstream& upstream, int fd);
  void OnConnection(Upstream& upstream, StreamPtr stream);
  static Task<> PlayUpstream(Player& player);

  const RunOptions options_;
  MemoryNetwork network_;
  std::list<Upstream> upstreams_;
  Case case_;
  Surroundings surroundings_;
  std::vector<std::string> failures_;
  std::unique_ptr<Proxy> proxy_;
};

absl::Status Run::Prepare(const std::string& text) {
  auto names = UpstreamNames(text);
  if (!names.ok()) return names.status();
  surroundings_.bind = options_.transport == Transport::kTcp;
  surroundings_.log_path = Cat(options_.directory, "/access_", ::getpid(), ".log");
  ::unlink(surroundings_.log_path.c_str());
  for (const std::string& name : *names) {
    Upstream& upstream = upstreams_.emplace_back(name, options_.transport);
    surroundings_.addresses[name] = upstream.door.address().ToString();
  }
  auto read = ReadCase(text, surroundings_);
  if (!read.ok()) return read.status();
  case_ = *std::move(read);
  for (Upstream& upstream : upstreams_) {
    upstream.scripts = &case_.upstreams[upstream.name];
    // In memory an upstream without a connection is one that refuses them.
    if (options_.transport == Transport::kMemory && !upstream.scripts->empty()) {
      network_.Listen(upstream.door.address(), [this, &upstream](StreamPtr stream) {
        OnConnection(upstream, std::move(stream));
      });
    } else if (upstream.scripts->empty()) {
      const int fd = upstream.door.Take();
      if (fd >= 0) ::close(fd);
    }
  }
  return absl::OkStatus();
}

absl::Status Run::Build() {
  const bool memory = options_.transport == Transport::kMemory;
  proxy_ = std::make_unique<Proxy>(memory ? static_cast<const Dialer&>(network_) : SocketDialer(),
                                   options_.seed);
  Proxy& proxy = *proxy_;
  config::LoadOptions load;
  load.config_yaml = case_.listener_and_clusters;
  const auto bootstrap = config::LoadBootstrap(load, proxy.diagnostics);
  if (bootstrap == nullptr) return Invalid(proxy.diagnostics.ToString());
  for (const auto& config : bootstrap->static_resources().clusters()) {
    ClusterPtr cluster = BuildCluster(config, "cluster", proxy.context);
    if (cluster != nullptr) proxy.clusters.Add(std::move(cluster)).IgnoreError();
  }
  proxy.listener = BuildListener(bootstrap->static_resources().listeners(0), "listener",
                                 proxy.context, proxy.budget);
  if (!proxy.diagnostics.ok()) return Invalid(proxy.diagnostics.ToString());
  return proxy.listener->Bind(1);
}

std::vector<std::string> Run::Play(const std::string& text) {
  absl::Status status = Prepare(text);
  if (status.ok()) status = Build();
  if (!status.ok()) return {std::string(status.message())};
  Serve();
  for (const Upstream& upstream : upstreams_) {
    if (upstream.connections != upstream.scripts->size()) {
      Fail(Cat(upstream.name, ": expected ", upstream.scripts->size(), " connections, got ",
               upstream.connections));
    }
  }
  CheckLog();
  ::unlink(surroundings_.log_path.c_str());
  return std::move(failures_);
}

void Run::Serve() {
  Proxy& proxy = *proxy_;
  proxy.dns_caches.Start(proxy.workers);
  proxy.clusters.Start(proxy.workers);
  proxy.main.Start();
  worker().Start();
  proxy.listener->Start({&worker()});
  std::promise<void> done;
  Canceller canceller;
  worker().Post([&] {
    for (Upstream& upstream : upstreams_) {
      const int fd = upstream.door.Take();
      if (fd >= 0) worker().scope().Spawn(AcceptAll(*this, upstream, fd));
    }
    worker().scope().Spawn(Drive(*this, canceller, done), canceller);
  });
  done.get_future().wait();
  proxy.listener->StopAccepting();
  worker().Post([&] { proxy.clusters.DropPools(0); });
  worker().Stop();
  worker().Join();
  proxy.main.Stop();
  proxy.main.Join();
  for (Upstream& upstream : upstreams_) upstream.players.clear();  // Their streams need the worker.
}

Task<> Run::Drive(Run& run, Canceller& canceller, std::promise<void>& done) {
  Deadline deadline(run.worker().wheel(), canceller, kPatience);
  auto stream = co_await run.ConnectClient();
  if (!stream.ok()) {
    run.Fail("cannot connect to the proxy: " + std::string(stream.status().message()));
  } else {
    Player client("client", *std::move(stream), run.case_.client, run.options_.chunking,
                  run.worker(), run.failures_);
    co_await client.Play();
    client.Close();
    co_await run.WaitForPeers();
  }
  if (deadline.Expired()) run.Fail("timed out");
  done.set_value();
}

Task<absl::StatusOr<StreamPtr>> Run::ConnectClient() {
  if (options_.transport == Transport::kTcp)
    co_return co_await SocketDialer().Dial(proxy_->listener->addresses().front(), {});
  MemoryOptions options{.chunking = options_.chunking, .seed = options_.seed};
  options.first = Address::Ipv4(INADDR_LOOPBACK, 40000);
  options.second = Address::Ipv4(INADDR_LOOPBACK, 10000);
  auto [near, far] = MemoryPair(options);
  proxy_->listener->AdoptForTest(0, std::move(far));
  co_return std::move(near);
}

// Until the proxy has noticed that the client is gone, and the upstreams have played what they
// have.
Task<> Run::WaitForPeers() {
  auto busy = [this] {
    if (!failures_.empty()) return false;
    for (const Upstream& upstream : upstreams_) {
      if (upstream.connections < upstream.scripts->size()) return true;
      for (const Player& player : upstream.players) {
        if (!player.done()) return true;
      }
    }
    return proxy_->listener->open() > 0;
  };
  while (busy() && co_await Sleep(kPoll)) {
  }
}

Task<> Run::AcceptAll(Run& run, Upstream& upstream, int fd) {
  ListenSocket door(fd, false);
  while (co_await door.WaitReadable()) {
    auto stream = door.Accept();
    if (!stream.ok()) co_return;
    if (*stream != nullptr) run.OnConnection(upstream, *std::move(stream));
  }
}

void Run::OnConnection(Upstream& upstream, StreamPtr stream) {
  const size_t index = upstream.connections++;
  if (index >= upstream.scripts->size()) return;  // The count will tell.
  Player& player = upstream.players.emplace_back(Cat(upstream.name, "[", index, "]"),
                                                 std::move(stream), (*upstream.scripts)[index],
                                                 options_.chunking, worker(), failures_);
  worker().scope().Spawn(PlayUpstream(player));
}

Task<> Run::PlayUpstream(Player& player) {
  co_await player.Play();
  if (player.done()) co_await player.Watch();
}

void Run::CheckLog() {
  if (!case_.log.has_value()) return;
  proxy_->access_logs.Flush(std::chrono::seconds(5));
  std::ifstream file(surroundings_.log_path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  if (lines != *case_.log) {
    Fail(Cat("access log: expected [", Std(absl::StrJoin(*case_.log, "; ")), "], got [",
             Std(absl::StrJoin(lines, "; ")), "]"));
  }
}

}  // namespace

std::vector<std::string> RunCase(const std::string& text, const RunOptions& options) {
  return Run(options).Play(text);
}

}  // namespace sluice::cases
