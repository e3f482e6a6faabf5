// Endpoints on demand. See cluster.h for the threads.
#include "extensions/clusters/dynamic_forward_proxy/cluster.h"

#include <algorithm>

#include "api/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "extensions/clusters/dynamic_forward_proxy/sub_clusters.h"
#include "source/base/log.h"
#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"
#include "source/upstream/dns/dns_cache_manager.h"
#include "source/upstream/saved_address.h"

namespace sluice {
DynamicCluster::DynamicCluster(ClusterSettings settings,
                               const envoy::config::cluster::v3::Cluster& config,
                               const stats::Scope& scope, const Dialer& dialer, size_t workers,
                               DnsCache& cache, const Egress* egress)
    : Cluster(std::move(settings), config, scope, dialer, workers),
      cache_(cache),
      egress_(egress),
      locals_(workers) {}

namespace {

// What a filter says instead of the request's authority (envoy.upstream.dynamic_host); as Envoy
// does, whether or not the forward proxy's filter is on the route.
struct Destination {
  std::string own;         // what a filter says; empty: nothing
  std::string_view given;  // what the client says
  uint16_t default_port;

  std::string_view authority() const { return own.empty() ? given : own; }
};

Destination DestinationOf(const Exchange& exchange, uint16_t default_port) {
  Destination destination{"", "", default_port};
  if (const RequestHead* head = exchange.request_head()) {
    destination.given = head->authority;
  } else {
    // Below HTTP only TLS says where it wants to go (listener filter tls_inspector).
    destination.given = exchange.connection().found().requested_server_name;
    destination.default_port = 443;
  }
  const FilterStateObject* host = exchange.filter_state("envoy.upstream.dynamic_host");
  const bool below_http = exchange.request_head() == nullptr;
  if (host == nullptr && !below_http) return destination;
  const FilterStateObject* port = exchange.filter_state("envoy.upstream.dynamic_port");
  const auto number = port == nullptr ? std::nullopt : ParseDecimal<uint16_t>(port->ToString());
  if (number.value_or(0) != 0) destination.default_port = *number;
  if (host == nullptr) return destination;
  destination.own = host->ToString();
  if (destination.own.find(':') != std::string::npos && !destination.own.starts_with('[') &&
      Address::Ip(destination.own, 0).ok())
    destination.own = Cat("[", destination.own, "]");
  return destination;
}

}  // namespace

Task<absl::StatusOr<EndpointPtr>> DynamicCluster::Pick(const SendOptions&,
                                                       Exchange& exchange) const {
  const Destination destination = DestinationOf(exchange, settings().is_tls ? 443 : 80);
  const EgressGuard* guard = GuardOf(exchange);
  TimeMeter& time = exchange.time;
  const bool first = time.look_up_started == TimePoint{};  // a retry looks up again
  if (first) time.look_up_started = time.look_up_ended = Now();
  const auto found =
      cache_.Find(exchange.worker().index(), destination.authority(), destination.default_port);
  if (!found.ok()) co_return found.status();
  if (*found != nullptr) co_return Choose(**found, guard, exchange);
  // What may not be dialled under any address is not looked up either.
  if (guard != nullptr && guard->enforces()) {
    const auto key = DnsKey::Parse(destination.authority(), destination.default_port);
    const EgressRule rule =
        key.has_value() ? guard->CheckHost(key->host(), key->port()) : EgressRule();
    if (rule.denies()) co_return Denied(rule);
  }
  auto resolved = co_await cache_.Resolve(exchange.worker(), std::string(destination.authority()),
                                          destination.default_port);
  if (first) time.look_up_ended = Now();
  if (!resolved.ok()) co_return resolved.status();
  co_return Choose(*resolved, guard, exchange);
}

const EgressGuard* DynamicCluster::GuardOf(const Exchange& exchange) const {
  if (egress_ == nullptr) return nullptr;
  return exchange.egress_guard != nullptr ? exchange.egress_guard : &egress_->guard();
}

absl::Status DynamicCluster::Denied(const EgressRule& rule) const {
  egress_->stats().CountDenied(rule);
  return MakeError(Reason::kEgressDenied, rule.ToString());
}

absl::StatusOr<EndpointPtr> DynamicCluster::Choose(const HostRef& host, const EgressGuard* guard,
                                                   Exchange& exchange) const {
  Checked& checked = Check(exchange.worker().index(), host, guard);
  if (checked.outcome == EgressGuard::Decision::kDenied) return Denied(checked.rule);
  if (guard != nullptr) {
    const EgressStats& stats = egress_->stats();
    (checked.outcome == EgressGuard::Decision::kReported ? stats.reported : stats.allowed).Add();
  }
  const size_t index = IndexFor(checked, exchange);
  EndpointPtr& endpoint = checked.endpoints[index];
  if (endpoint == nullptr) endpoint = SharedEndpoint(*host, guard, checked.addresses, index);
  return endpoint;
}

// Which endpoint of a host this attempt gets.
size_t DynamicCluster::IndexFor(Checked& checked, Exchange& exchange) const {
  const std::vector<Address>& addresses = checked.addresses;
  if (const SavedAddress* saved = SavedAddress::Of(exchange)) {
    const auto place = std::find(addresses.begin(), addresses.end(), saved->address());
    if (place != addresses.end())
      return addresses.size() + static_cast<size_t>(place - addresses.begin());
  }
  if (addresses.size() == 1) return 0;
  if (cache_.address_policy() == DnsCacheOptions::AddressPolicy::kRoundRobin)
    return checked.turn++ % addresses.size();
  // A name's other addresses may do better.
  const uint32_t attempts = exchange.upstream.attempts;
  return attempts <= 1 ? 0 : (attempts - 1) % addresses.size();
}

DynamicCluster::Checked& DynamicCluster::Check(int worker, const HostRef& host,
                                               const EgressGuard* guard) const {
  std::vector<Local>& locals = locals_[worker];
  if (host->slot >= locals.size()) locals.resize(host->slot + 1);
  Local& local = locals[host->slot];
  if (local.host.get() != host.get()) {
    DropLocal(local, worker);
    local.host = host;
  }
  for (Checked& checked : local.checked) {
    if (checked.guard.get() == guard) return checked;
  }
  EgressGuard::Decision decision = Decide(*host, guard);
  Checked checked;
  if (guard != nullptr) checked.guard = guard->shared_from_this();
  checked.outcome = decision.outcome;
  checked.rule = decision.rule;
  if (decision.outcome == EgressGuard::Decision::kReported) {
    SLUICE_LOG(kWarning, kForwardProxy, "egress guard: would deny ", host->key, ": ",
               decision.rule.ToString());
  } else if (decision.rule.denies()) {
    SLUICE_LOG(kDebug, kForwardProxy, "egress guard: denies ",
               decision.addresses.empty() ? "" : "a part of ", host->key, ": ",
               decision.rule.ToString());
  }
  if (decision.outcome != EgressGuard::Decision::kDenied) {
    checked.addresses = std::move(decision.addresses);
    checked.endpoints.resize(2 * checked.addresses.size());
    // Workers begin at different addresses.
    checked.turn = static_cast<size_t>(worker);
  }
  return local.checked.emplace_back(std::move(checked));
}

EgressGuard::Decision DynamicCluster::Decide(const ResolvedHost& host, const EgressGuard* guard) {
  std::vector<Address> addresses;
  for (const Address& address : host.addresses) addresses.push_back(address.WithPort(host.port));
  if (guard != nullptr) return guard->Decide(host.name, host.port, addresses);
  EgressGuard::Decision open;
  open.addresses = std::move(addresses);
  return open;
}

EndpointPtr DynamicCluster::SharedEndpoint(const ResolvedHost& host, const EgressGuard* guard,
                                           const std::vector<Address>& addresses,
                                           size_t index) const {
  std::lock_guard lock(mutex_);
  std::vector<Shared>& list = shared_[host.key];
  // Figures are the host's: its addresses share them, and they survive a change of address.
  std::shared_ptr<HostStats> stats;
  for (const Shared& shared : list) {
    for (const EndpointPtr& endpoint : shared.endpoints)
      if (endpoint != nullptr) stats = endpoint->shared_stats();
  }
  auto shared = std::find_if(list.begin(), list.end(),
                             [&](const Shared& one) { return one.guard.get() == guard; });
  if (shared == list.end()) {
    shared = list.insert(list.end(), Shared());
    if (guard != nullptr) shared->guard = guard->shared_from_this();
  }
  if (shared->addresses != addresses) {
    shared->addresses = addresses;
    shared->endpoints.assign(2 * addresses.size(), nullptr);
  }
  EndpointPtr& endpoint = shared->endpoints[index];
  if (endpoint != nullptr) return endpoint;
  Endpoint::Settings settings;
  settings.hostname = host.key;
  const size_t count = addresses.size();
  if (index >= count) {
    settings.addresses = {addresses[index - count]};
  } else {
    settings.addresses = addresses;
    std::rotate(settings.addresses.begin(),
                settings.addresses.begin() + static_cast<std::ptrdiff_t>(index),
                settings.addresses.end());
  }
  if (stats == nullptr) {
    stats = std::make_shared<HostStats>();
    stats->use = host.use;
  }
  endpoint = std::make_shared<Endpoint>(std::move(settings), std::move(stats), workers());
  return endpoint;
}

void DynamicCluster::DropLocal(Local& local, int worker) {
  for (const Checked& checked : local.checked) {
    for (const EndpointPtr& endpoint : checked.endpoints)
      if (endpoint != nullptr) DropPool(*endpoint, worker);
  }
  local = {};
}

void DynamicCluster::OnHostRemoved(const ResolvedHostPtr& host) {
  std::lock_guard lock(mutex_);
  shared_.erase(host->key);
}

void DynamicCluster::OnWorkerDropped(int worker, const ResolvedHost& host, const ResolvedHost*) {
  std::vector<Local>& locals = locals_[worker];
  if (host.slot >= locals.size() || locals[host.slot].host.get() != &host) return;
  DropLocal(locals[host.slot], worker);
}

void DynamicCluster::DropPools(int worker) const {
  for (Local& local : locals_[worker]) DropLocal(local, worker);
  locals_[worker].clear();
}

// Null for a host that nobody may dial.
EndpointPtr DynamicCluster::ShownEndpoint(const ResolvedHost& host) const {
  std::shared_ptr<const EgressGuard> guard =
      egress_ == nullptr ? nullptr : egress_->guard().shared_from_this();
  {
    std::lock_guard lock(mutex_);
    if (const auto used = shared_.find(host.key); used != shared_.end())
      guard = used->second.front().guard;
  }
  EgressGuard::Decision decision = Decide(host, guard.get());
  if (decision.addresses.empty()) return nullptr;
  return SharedEndpoint(host, guard.get(), decision.addresses, 0);
}

std::vector<Cluster::HostView> DynamicCluster::Hosts() const {
  std::vector<HostView> views;
  for (const DnsCache::HostView& host : cache_.Hosts()) {
    if (host.host == nullptr || host.host->addresses.empty()) continue;
    const EndpointPtr endpoint = ShownEndpoint(*host.host);
    if (endpoint == nullptr) continue;
    views.push_back({endpoint->address().ToString(), endpoint->hostname(), endpoint->shared_stats(),
                     endpoint->settings()});
  }
  return views;
}

namespace {

using Proto = envoy::extensions::clusters::dynamic_forward_proxy::v3::ClusterConfig;

absl::StatusOr<std::shared_ptr<Cluster>> CreateSubClusters(const Proto& config,
                                                           ClusterFactoryContext& context) {
  const auto& settings = config.sub_clusters_config();
  if (settings.lb_policy() == envoy::config::cluster::v3::Cluster::CLUSTER_PROVIDED)
    return Invalid("unsupported lb_policy 'CLUSTER_PROVIDED' in sub_cluster_config");
  if (context.config.has_outlier_detection() || context.config.health_checks_size() > 0) {
    return Invalid(
        "sub_clusters_config goes with neither outlier_detection nor health_checks yet: "
        "use dns_cache_config");
  }
  if (context.settings.predictive_preconnect_ratio > 1) {
    return Invalid(
        "sub_clusters_config does not go with preconnect_policy.predictive_preconnect_ratio yet");
  }
  if (!context.server.make_cluster)
    return absl::FailedPreconditionError("there is no server that could make sub clusters");
  for (int i = 0; i < settings.preresolve_clusters_size(); ++i) {
    const auto& host = settings.preresolve_clusters(i);
    if (!DnsKey::Of(host.address(), static_cast<uint16_t>(host.port_value())).has_value())
      return Invalid("sub_clusters_config.preresolve_clusters[", i, "]: '", host.address(),
                     "' is no host name");
  }
  return std::make_shared<SubClusters>(context.settings, context.config, context.scope,
                                       context.server, settings);
}

absl::StatusOr<std::shared_ptr<Cluster>> Create(const Proto& config,
                                                ClusterFactoryContext& context) {
  if (context.config.lb_policy() != envoy::config::cluster::v3::Cluster::CLUSTER_PROVIDED) {
    return Invalid("cluster manager: cluster provided LB not specified but cluster '",
                   context.config.name(),
                   "' provided one. Check cluster documentation: set lb_policy: CLUSTER_PROVIDED");
  }
  if (!config.allow_insecure_cluster_options() && !context.auto_sni_and_san) {
    return Invalid(
        "dynamic_forward_proxy cluster must have auto_sni and auto_san_validation true unless "
        "allow_insecure_cluster_options "
        "is set.");
  }
  if (config.has_sub_clusters_config()) return CreateSubClusters(config, context);
  if (!config.has_dns_cache_config())
    return Invalid("needs a dns_cache_config or a sub_clusters_config");
  auto cache = context.server.dns_caches.GetCache(
      config.dns_cache_config(), context.path + ".cluster_type.typed_config.dns_cache_config");
  if (!cache.ok()) return cache.status();
  auto cluster = std::make_shared<DynamicCluster>(context.settings, context.config, context.scope,
                                                  context.server.dialer, context.server.workers,
                                                  **cache, context.server.egress);
  (*cache)->AddObserver(cluster);
  return cluster;
}

}  // namespace

void RegisterDynamicForwardProxyCluster(Registry& registry) {
  registry.AddCluster<Proto>("envoy.clusters.dynamic_forward_proxy", Create);
}

}  // namespace sluice
