// The whole way of a request over memory streams: listener, connection manager, router, pool and
// back, with the input as what client and origins say. Nothing may hang, what the origins receive
// must be framed without doubt, and every gauge must return to zero. One worker thread serves; the
// fuzzer's thread waits for it.
//
// An input: a byte of options, then steps, each ended by 0xff. The first byte of a step says what
// it is: 'c' the client says the rest; 'u' the origin of the newest connection says the rest; 'e',
// 'E' they end their direction; 'r', 'R' they reset; 'n' the client comes again on a new
// connection. With SLUICE_FUZZ_SHOW set, what the peers got is printed.
#include <cstdint>
#include <future>
#include <list>
#include <memory>

#include "extensions/builtin.h"
#include "source/config/loader.h"
#include "source/net/testing/memory_stream.h"
#include "source/server/clusters/cluster_factory.h"
#include "source/server/listeners/listener_factory.h"
#include "source/upstream/cluster_manager.h"
#include "source/upstream/dns/dns_cache_manager.h"
#include "test/fuzz/check.h"
#include "test/fuzz/strict_http.h"

namespace sluice {
namespace {

constexpr std::string_view kConfig = R"(
static_resources:
  listeners:
  - name: main
    stat_prefix: main
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    bind_to_port: false
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: fuzz
          normalize_path: true
          merge_slashes: true
          use_remote_address: true
          upgrade_configs: [{ upgrade_type: websocket }, { upgrade_type: CONNECT }]
          access_log:
          - name: envoy.access_loggers.file
            typed_config: { "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts:
            - name: any
              domains: ["*"]
              routes:
              - match: { prefix: /direct }
                direct_response: { status: 200, body: { inline_string: here } }
              - match: { connect_matcher: {} }
                route: { cluster: tunnel, upgrade_configs: [{ upgrade_type: CONNECT, connect_config: {} }] }
              - match: { prefix: / }
                route:
                  cluster: origin
                  retry_policy: { retry_on: "connect-failure,refused-stream", num_retries: 1 }
  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: origin
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } } }] }]
  - name: tunnel
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: tunnel
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 2 } } } }] }]
)";

// An end of a connection that the fuzzer plays, and all that the proxy said there.
struct Peer {
  explicit Peer(StreamPtr stream, bool is_tunnel = false)
      : stream(std::move(stream)), is_tunnel(is_tunnel) {}

  // Says as much as there is room for.
  void Push() {
    const std::string_view text = unsent;
    const auto count = stream->TryWrite({&text, 1});
    if (count.ok()) unsent.erase(0, *count);
  }

  void Drain() {
    char buffer[4096];
    while (!ended) {
      const auto count = stream->TryRead({buffer, sizeof(buffer)});
      if (!count.ok() || (count->has_value() && **count == 0)) {
        ended = true;
      } else if (!count->has_value()) {
        return;
      } else {
        received.append(buffer, **count);
      }
    }
  }

  StreamPtr stream;
  const bool is_tunnel;
  std::string unsent;
  std::string received;
  bool ended = false;
};

// Streams belong to the worker, whichever way they are made.
template <class Options>
std::pair<StreamPtr, StreamPtr> MakePair(Worker& worker, const Options& options) {
  if constexpr (requires { MemoryPair(options); }) {
    return MemoryPair(options);
  } else {
    return MemoryPair(options);
  }
}

class Proxy final : public Dialer {
 public:
  Proxy();
  void Play(std::string_view input);

 private:
  Task<absl::StatusOr<StreamPtr>> Dial(Address address, DialOptions options) const override;
  void NewClient();
  void Step(std::string_view step);
  void Next();
  void Settle(int rounds, std::function<void()> then);
  void End();
  void WaitForEnd();
  void Judge() const;

  stats::Store stats_;
  config::Diagnostics diagnostics_;
  Registry registry_;
  Worker main_{Worker::kMain, 1};
  std::vector<std::unique_ptr<Worker>> workers_;
  AccessLogManager access_logs_{stats_.Root(), {}};
  DnsCacheManager dns_caches_{main_, 1, stats_};
  ClusterManager clusters_{1, stats_.Root().Sub("cluster_manager")};
  ServerContext context_;
  ConnectionBudget budget_{1000};
  std::unique_ptr<Listener> listener_;

  // Of the input that is played. Worker thread.
  std::string_view rest_;
  MemoryOptions options_;
  bool drains_ = true;  // false: the peers do not read before the end
  std::list<Peer> clients_;
  mutable std::list<Peer> origins_;
  TimePoint limit_;
  std::promise<void>* done_ = nullptr;
};

Proxy::Proxy()
    : context_{main_,     1,         stats_, access_logs_, dns_caches_,
               clusters_, registry_, *this,  diagnostics_} {
  workers_.push_back(std::make_unique<Worker>(0, 1));
  RegisterBuiltinExtensions(registry_);
  config::LoadOptions load;
  load.config_yaml = kConfig;
  const auto bootstrap = config::LoadBootstrap(load, diagnostics_);
  if (bootstrap == nullptr) std::fprintf(stderr, "%s\n", diagnostics_.ToString().c_str());
  FUZZ_CHECK(bootstrap != nullptr);
  for (const auto& config : bootstrap->static_resources().clusters()) {
    ClusterPtr cluster = BuildCluster(config, "cluster", context_);
    FUZZ_CHECK(cluster != nullptr && clusters_.Add(std::move(cluster)).ok());
  }
  listener_ =
      BuildListener(bootstrap->static_resources().listeners(0), "listener", context_, budget_);
  FUZZ_CHECK(diagnostics_.ok() && listener_->Bind(1).ok());
  dns_caches_.Start(workers_);
  clusters_.Start(workers_);
  main_.Start();
  workers_[0]->Start();
  listener_->Start({workers_[0].get()});
}

Task<absl::StatusOr<StreamPtr>> Proxy::Dial(Address address, DialOptions) const {
  MemoryOptions options = options_;
  options.first = Address::Ipv4(INADDR_LOOPBACK, 2);
  options.second = address;
  auto [near, far] = MakePair(*workers_[0], options);
  if (origins_.size() >= 64) co_return MakeError(Reason::kConnectRefused, "Connection refused");
  origins_.emplace_back(std::move(far), address.port() == 2);
  co_return std::move(near);
}

void Proxy::Play(std::string_view input) {
  std::promise<void> done;
  workers_[0]->Post([&] {
    const auto choice = static_cast<uint8_t>(input[0]);
    done_ = &done;
    options_ = {};
    options_.chunking = static_cast<Chunking>(choice % 3);
    options_.seed = choice;
    if ((choice & 0x40) != 0) options_.capacity = 16;
    drains_ = (choice & 0x80) == 0;
    rest_ = input.substr(1);
    NewClient();
    Next();
  });
  done.get_future().wait();
}

void Proxy::NewClient() {
  MemoryOptions options = options_;
  options.first = Address::Ipv4(INADDR_LOOPBACK, 40000);
  options.second = Address::Ipv4(INADDR_LOOPBACK, 10000);
  auto [near, far] = MakePair(*workers_[0], options);
  clients_.emplace_back(std::move(near));
  listener_->AdoptForTest(0, std::move(far));
}

// Lets everything else that is ready run, so many times.
void Proxy::Settle(int rounds, std::function<void()> then) {
  for (Peer& peer : clients_) peer.Push();
  for (Peer& peer : origins_) peer.Push();
  if (drains_) {
    for (Peer& peer : clients_) peer.Drain();
    for (Peer& peer : origins_) peer.Drain();
  }
  workers_[0]->Post(
      [this, rounds, then = std::move(then)] { rounds > 0 ? Settle(rounds - 1, then) : then(); });
}

void Proxy::Next() {
  if (rest_.empty() || clients_.size() > 16) return End();
  const size_t size = std::min(rest_.find('\xff'), rest_.size());
  Step(rest_.substr(0, size));
  rest_.remove_prefix(std::min(size + 1, rest_.size()));
  Settle(options_.chunking == Chunking::kAll ? 12 : 40, [this] { Next(); });
}

void Proxy::Step(std::string_view step) {
  if (step.empty()) return;
  const char kind = step.front();
  step.remove_prefix(1);
  Peer* peer = &clients_.back();
  if (kind == 'u' || kind == 'E' || kind == 'R') {
    if (origins_.empty()) return;
    peer = &origins_.back();
  }
  switch (kind) {
    case 'c':
    case 'u':
      peer->unsent.append(step);
      peer->Push();
      break;
    case 'e':
    case 'E':
      peer->stream->ShutdownWrite();
      break;
    case 'r':
    case 'R':
      peer->stream->Close(true);
      break;
    case 'n':
      NewClient();
      break;
    default:
      break;
  }
}

void Proxy::End() {
  // What a peer was owed is read first: then it may still be judged.
  for (Peer& peer : clients_) peer.Drain();
  for (Peer& peer : origins_) peer.Drain();
  for (Peer& peer : clients_) peer.stream->Close();
  for (Peer& peer : origins_) peer.stream->Close();
  limit_ = Now() + std::chrono::seconds(10);
  WaitForEnd();
}

// Nobody is left to wait for: the proxy must come to its end by itself.
void Proxy::WaitForEnd() {
  if (listener_->open() == 0) {
    clusters_.DropPools(0);
    Settle(4, [this] {
      Judge();
      clients_.clear();
      origins_.clear();
      std::exchange(done_, nullptr)->set_value();
    });
    return;
  }
  // Hangs: a connection outlives both of its ends.
  FUZZ_CHECK(Now() < limit_);
  // A retry dials again.
  for (Peer& peer : origins_) peer.stream->Close();
  workers_[0]->Post([this] { WaitForEnd(); });
}

void Proxy::Judge() const {
  // For whoever looks at one input.
  if (static const bool shows = std::getenv("SLUICE_FUZZ_SHOW") != nullptr; shows) {
    for (const Peer& peer : clients_)
      std::fprintf(stderr, "--- a client got:\n%s\n", peer.received.c_str());
    for (const Peer& peer : origins_)
      std::fprintf(stderr, "--- an origin got:\n%s\n", peer.received.c_str());
  }
  for (const Peer& origin : origins_) {
    if (origin.is_tunnel) continue;
    const std::string problem = strict_http::Reader(origin.received).Check();
    if (!problem.empty())
      std::fprintf(stderr, "an origin received: %s\n%s\n", problem.c_str(),
                   origin.received.c_str());
    FUZZ_CHECK(problem.empty());
  }
  for (const char* name :
       {"http.fuzz.downstream_cx_active", "http.fuzz.downstream_rq_active",
        "http.fuzz.downstream_cx_upgrades_active", "listener.main.downstream_cx_active",
        "cluster.origin.upstream_cx_active", "cluster.origin.upstream_rq_active",
        "cluster.origin.upstream_rq_pending_active", "cluster.tunnel.upstream_cx_active"}) {
    const int64_t value = stats_.Value(name);
    if (value != 0) std::fprintf(stderr, "%s is %lld\n", name, static_cast<long long>(value));
    FUZZ_CHECK(value == 0);
  }
  FUZZ_CHECK(budget_.used() == 0);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* proxy = new sluice::Proxy;
  if (size == 0 || size > 1 << 16) return 0;
  proxy->Play({reinterpret_cast<const char*>(data), size});
  return 0;
}
