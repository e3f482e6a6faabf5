// Clusters on demand. See sub_clusters.h for the threads.
#include "extensions/clusters/dynamic_forward_proxy/sub_clusters.h"

#include "source/base/log.h"
#include "source/base/reason.h"
#include "source/upstream/cluster_manager.h"
#include "source/upstream/dns/dns_config.h"

namespace sluice {
namespace {

// The filter waits less long, as its cluster_init_timeout says.
constexpr Duration kWarmingLimit = std::chrono::seconds(60);
constexpr Duration kPoll = std::chrono::milliseconds(5);
// Uses are noted this often, so that workers do not write one another's cache lines.
constexpr int64_t kTouchStepNs = 1'000'000'000;

int64_t Nanoseconds(TimePoint time) {
  return time.time_since_epoch().count();
}

}  // namespace

struct SubClusters::Known {
  const Cluster* cluster = nullptr;
  std::shared_ptr<std::atomic<int64_t>> last_used;
};

struct SubClusters::Entry {
  ClusterPtr cluster;
  std::shared_ptr<std::atomic<int64_t>> last_used = std::make_shared<std::atomic<int64_t>>();
  bool warming = true;
};

struct SubClusters::Waiter {
  Event done;
  std::string refusal;
};

struct alignas(64) SubClusters::Local {
  StringMap<Known> known;
  StringMap<std::vector<Waiter*>> waiters;

  void Wake(const std::string& key, std::string_view refusal) {
    const auto it = waiters.find(key);
    if (it == waiters.end()) return;
    const std::vector<Waiter*> woken = std::move(it->second);
    waiters.erase(it);
    for (Waiter* waiter : woken) {
      waiter->refusal = refusal;
      waiter->done.Set();
    }
  }
};

SubClusters::SubClusters(ClusterSettings settings,
                         const envoy::config::cluster::v3::Cluster& config,
                         const stats::Scope& scope, ServerContext& server,
                         const Proto& sub_clusters)
    : Cluster(std::move(settings), config, scope, server.dialer, server.workers),
      server_(server),
      config_(sub_clusters),
      max_(sub_clusters.has_max_sub_clusters() ? sub_clusters.max_sub_clusters().value() : 1024),
      ttl_(sub_clusters.has_sub_cluster_ttl() ? DurationOf(sub_clusters.sub_cluster_ttl())
                                              : std::chrono::minutes(5)) {
  for (size_t i = 0; i < server.workers; ++i) locals_.push_back(std::make_unique<Local>());
}

SubClusters::~SubClusters() = default;

void SubClusters::Start(const std::vector<std::unique_ptr<Worker>>& workers) {
  workers_ = &workers;
  server_.main.Post([this] {
    for (const auto& host : config_.preresolve_clusters()) {
      const auto key = DnsKey::Of(host.address(), static_cast<uint16_t>(host.port_value()));
      if (key.has_value()) Load(*key);
    }
    server_.main.scope().Spawn(SweepAll(*this));
  });
}

absl::StatusOr<DnsKey> SubClusters::KeyOf(const Exchange& exchange) const {
  const RequestHead* head = exchange.request_head();
  if (head == nullptr || head->authority.empty()) return MakeError(Reason::kEmptyHost);
  const auto key = DnsKey::Parse(head->authority, settings().is_tls ? 443 : 80);
  if (!key.has_value()) return MakeError(Reason::kDnsFailure, kBadNameDetails);
  return *key;
}

Task<absl::Status> SubClusters::Prepare(Exchange& exchange) const {
  const auto key = KeyOf(exchange);
  if (!key.ok()) co_return key.status();
  if (locals_[exchange.worker().index()]->known.contains(key->text())) co_return absl::OkStatus();
  // What may not be dialled under any address is not looked up either.
  const auto allowed = Guarded(EndpointPtr(), *key, exchange);
  if (!allowed.ok()) co_return allowed.status();
  co_return co_await Await(exchange.worker(), *key);
}

Task<absl::StatusOr<EndpointPtr>> SubClusters::Pick(const SendOptions& options,
                                                    Exchange& exchange) const {
  if (absl::Status ready = co_await Prepare(exchange); !ready.ok()) co_return ready;
  const auto key = KeyOf(exchange);
  Local& local = *locals_[exchange.worker().index()];
  const auto it = local.known.find(key->text());
  if (it == local.known.end()) co_return MakeError(Reason::kNoHealthyUpstream);
  const int64_t now = Nanoseconds(Now());
  std::atomic<int64_t>& last_used = *it->second.last_used;
  if (now - last_used.load(std::memory_order_relaxed) >= kTouchStepNs)
    last_used.store(now, std::memory_order_relaxed);
  // A STRICT_DNS cluster picks at once: it cannot be dropped meanwhile.
  co_return Guarded(co_await it->second.cluster->Pick(options, exchange), *key, exchange);
}

// The endpoint, if the egress guard lets it be dialled; without an endpoint: whether the name may
// be looked up.
absl::StatusOr<EndpointPtr> SubClusters::Guarded(absl::StatusOr<EndpointPtr> endpoint,
                                                 const DnsKey& key,
                                                 const Exchange& exchange) const {
  if (server_.egress == nullptr || !endpoint.ok()) return endpoint;
  const EgressGuard& guard =
      exchange.egress_guard != nullptr ? *exchange.egress_guard : server_.egress->guard();
  const EgressStats& stats = server_.egress->stats();
  if (*endpoint == nullptr) {
    const EgressRule rule =
        guard.enforces() ? guard.CheckHost(key.host(), key.port()) : EgressRule();
    if (!rule.denies()) return endpoint;
    stats.CountDenied(rule);
    return MakeError(Reason::kEgressDenied, rule.ToString());
  }
  const auto decision = guard.Decide(key.host(), key.port(), (*endpoint)->addresses());
  if (decision.outcome == EgressGuard::Decision::kDenied) {
    stats.CountDenied(decision.rule);
    return decision.status();
  }
  (decision.outcome == EgressGuard::Decision::kReported ? stats.reported : stats.allowed).Add();
  return endpoint;
}

Task<absl::Status> SubClusters::Await(Worker& worker, DnsKey key) const {
  if (co_await kIsCancelled) co_return MakeError(Reason::kCancelled);
  Local& local = *locals_[worker.index()];
  Waiter waiter;
  auto [it, is_first] = local.waiters.try_emplace(std::string(key.text()));
  it->second.push_back(&waiter);
  if (is_first)
    server_.main.Post([self = const_cast<SubClusters*>(this), key] { self->Load(key); });
  co_await waiter.done.Wait();
  if (!waiter.done.is_set()) {
    it = local.waiters.find(key.text());
    std::erase(it->second, &waiter);
    if (it->second.empty()) local.waiters.erase(it);
    co_return MakeError(Reason::kCancelled);
  }
  if (!waiter.refusal.empty()) co_return MakeError(Reason::kNoHealthyUpstream, waiter.refusal);
  co_return absl::OkStatus();
}

void SubClusters::PostToAll(const std::function<void(int worker)>& call) const {
  for (const auto& worker : *workers_)
    worker->Post([call, index = worker->index()] { call(index); });
}

envoy::config::cluster::v3::Cluster SubClusters::ConfigOf(const DnsKey& key) const {
  envoy::config::cluster::v3::Cluster config = this->config();
  config.clear_cluster_type();
  config.clear_alt_stat_name();
  config.set_name(Cat("DFPCluster:", key.text()));
  config.set_type(envoy::config::cluster::v3::Cluster::STRICT_DNS);
  config.set_lb_policy(config_.lb_policy());
  auto& assignment = *config.mutable_load_assignment();
  assignment.set_cluster_name(config.name());
  auto& socket = *assignment.add_endpoints()
                      ->add_lb_endpoints()
                      ->mutable_endpoint()
                      ->mutable_address()
                      ->mutable_socket_address();
  socket.set_address(std::string(key.host()));
  socket.set_port_value(key.port());
  return config;
}

void SubClusters::Load(const DnsKey& key) {
  const std::string text(key.text());
  if (const auto it = entries_.find(text); it != entries_.end()) {
    // Somebody else has asked for it before: what is ready was posted to all workers already.
    it->second->last_used->store(Nanoseconds(Now()), std::memory_order_relaxed);
    if (!it->second->warming) Refuse(text, "");
    return;
  }
  if (entries_.size() >= max_) return Refuse(text, "sub_cluster_overflow");
  auto entry = std::make_unique<Entry>();
  entry->cluster = server_.make_cluster(ConfigOf(key));
  if (entry->cluster == nullptr) return Refuse(text, "sub_cluster_warming_timeout");
  entry->last_used->store(Nanoseconds(Now()), std::memory_order_relaxed);
  server_.clusters.Show(entry->cluster);
  entry->cluster->Start(*workers_);
  entries_[text] = std::move(entry);
  server_.main.scope().Spawn(Warm(*this, text));
}

// Tells those who wait on every worker; an empty `why`: look again.
void SubClusters::Refuse(const std::string& key, std::string_view why) {
  PostToAll([this, key, text = std::string(why)](int worker) { locals_[worker]->Wake(key, text); });
}

Task<> SubClusters::Warm(SubClusters& self, std::string key) {
  const TimePoint limit = Now() + kWarmingLimit;
  Entry& entry = *self.entries_.find(key)->second;  // Nobody drops it while it is warming.
  while (!entry.cluster->ready() && Now() < limit) {
    if (!co_await Sleep(kPoll)) co_return;
  }
  entry.warming = false;
  if (!entry.cluster->ready()) {
    self.Refuse(key, "sub_cluster_warming_timeout");
    self.Drop(key);
    co_return;
  }
  self.PostToAll([&self, key, known = Known{entry.cluster.get(), entry.last_used}](int worker) {
    self.locals_[worker]->known[key] = known;
    self.locals_[worker]->Wake(key, "");
  });
}

Task<> SubClusters::SweepAll(SubClusters& self) {
  while (co_await Sleep(self.ttl_)) {
    const int64_t limit = Nanoseconds(Now() - self.ttl_);
    std::vector<std::string> unused;
    for (const auto& [key, entry] : self.entries_) {
      if (!entry->warming && entry->last_used->load(std::memory_order_relaxed) <= limit)
        unused.push_back(key);
    }
    for (const std::string& key : unused) self.Drop(key);
  }
}

// The workers forget a sub cluster one after another; the last of them tells the main thread, where
// it ends.
void SubClusters::Drop(const std::string& key) {
  const auto it = entries_.find(key);
  const Cluster* const cluster = dying_.emplace_back(std::move(it->second->cluster)).get();
  entries_.erase(it);
  server_.clusters.Hide(*cluster);
  dying_.back()->Stop();  // From here on it posts nothing to the workers.
  auto left = std::make_shared<std::atomic<size_t>>(workers_->size());
  PostToAll([this, key, cluster, left](int worker) {
    Local& local = *locals_[worker];
    const auto known = local.known.find(key);
    if (known != local.known.end() && known->second.cluster == cluster) local.known.erase(known);
    cluster->DropPools(worker);
    if (left->fetch_sub(1) == 1) server_.main.Post([this, key, cluster] { End(key, cluster); });
  });
}

void SubClusters::End(const std::string& key, const Cluster* cluster) {
  const std::string prefix = cluster->stats().scope.prefix();
  std::erase_if(dying_, [cluster](const ClusterPtr& dead) { return dead.get() == cluster; });
  // One that has come under the same name meanwhile counts under it.
  if (!entries_.contains(key)) server_.stats.Remove(prefix);
}

}  // namespace sluice
