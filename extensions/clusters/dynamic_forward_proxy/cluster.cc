// Endpoints on demand. See cluster.h for the threads.
#include "extensions/clusters/dynamic_forward_proxy/cluster.h"

#include <algorithm>

#include "api/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "source/base/log.h"
#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"
#include "source/upstream/dns_cache_manager.h"

namespace sluice {
DynamicCluster::DynamicCluster(ClusterSettings settings,
                               const envoy::config::cluster::v3::Cluster& config,
                               const stats::Scope& scope, const Dialer& dialer, size_t workers,
                               DnsCache& cache, const Egress* egress)
    : Cluster(std::move(settings), config, scope, dialer, workers),
      cache_(cache),
      egress_(egress),
      locals_(workers) {}

Task<absl::StatusOr<EndpointPtr>> DynamicCluster::Pick(const SendOptions&,
                                                       Exchange& exchange) const {
  const int worker = exchange.worker().index();
  const std::string_view authority =
      exchange.request_head() == nullptr ? "" : exchange.request_head()->authority;
  const uint16_t default_port = settings().is_tls ? 443 : 80;
  const EgressGuard* guard = GuardOf(exchange);
  const auto found = cache_.Find(worker, authority, default_port);
  if (!found.ok()) co_return found.status();
  if (*found != nullptr) co_return Choose(worker, **found, guard);
  // What may not be dialled under any address is not looked up either.
  if (guard != nullptr && guard->enforces()) {
    const auto key = DnsKey::Parse(authority, default_port);
    const EgressRule rule =
        key.has_value() ? guard->CheckHost(key->host(), key->port()) : EgressRule();
    if (rule.denies()) co_return Denied(rule);
  }
  auto resolved = co_await cache_.Resolve(exchange.worker(), std::string(authority), default_port);
  if (!resolved.ok()) co_return resolved.status();
  co_return Choose(worker, *resolved, guard);
}

const EgressGuard* DynamicCluster::GuardOf(const Exchange& exchange) const {
  if (egress_ == nullptr) return nullptr;
  return exchange.egress_guard != nullptr ? exchange.egress_guard : &egress_->guard();
}

absl::Status DynamicCluster::Denied(const EgressRule& rule) const {
  egress_->stats().CountDenied(rule);
  return MakeError(Reason::kEgressDenied, rule.ToString());
}

absl::StatusOr<EndpointPtr> DynamicCluster::Choose(int worker, const HostRef& host,
                                                   const EgressGuard* guard) const {
  const Checked& checked = Check(worker, host, guard);
  if (guard == nullptr) return checked.endpoint;
  if (checked.outcome == EgressGuard::Decision::kDenied) return Denied(checked.rule);
  const EgressStats& stats = egress_->stats();
  (checked.outcome == EgressGuard::Decision::kReported ? stats.reported : stats.allowed).Add();
  return checked.endpoint;
}

const DynamicCluster::Checked& DynamicCluster::Check(int worker, const HostRef& host,
                                                     const EgressGuard* guard) const {
  std::vector<Local>& locals = locals_[worker];
  if (host->slot >= locals.size()) locals.resize(host->slot + 1);
  Local& local = locals[host->slot];
  if (local.host.get() != host.get()) {
    DropLocal(local, worker);
    local.host = host;
  }
  for (const Checked& checked : local.checked) {
    if (checked.guard.get() == guard) return checked;
  }
  EgressGuard::Decision decision = Decide(*host, guard);
  Checked checked{guard == nullptr ? nullptr : guard->shared_from_this(), decision.outcome,
                  decision.rule, nullptr};
  if (decision.outcome == EgressGuard::Decision::kReported) {
    SLUICE_LOG(kWarning, kForwardProxy, "egress guard: would deny ", host->key, ": ",
               decision.rule.ToString());
  } else if (decision.rule.denies()) {
    SLUICE_LOG(kDebug, kForwardProxy, "egress guard: denies ",
               decision.addresses.empty() ? "" : "a part of ", host->key, ": ",
               decision.rule.ToString());
  }
  if (decision.outcome != EgressGuard::Decision::kDenied)
    checked.endpoint = SharedEndpoint(*host, guard, std::move(decision.addresses));
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
                                           std::vector<Address> addresses) const {
  std::lock_guard lock(mutex_);
  std::vector<Shared>& list = shared_[host.key];
  auto shared = std::find_if(list.begin(), list.end(),
                             [&](const Shared& one) { return one.guard.get() == guard; });
  if (shared != list.end() && shared->endpoint->addresses() == addresses) return shared->endpoint;
  // Figures are the host's: they survive a change of address.
  std::shared_ptr<HostStats> stats =
      list.empty() ? std::make_shared<HostStats>() : list.front().endpoint->shared_stats();
  if (shared == list.end())
    shared =
        list.insert(list.end(), {guard == nullptr ? nullptr : guard->shared_from_this(), nullptr});
  Endpoint::Settings settings;
  settings.hostname = host.key;
  settings.addresses = std::move(addresses);
  shared->endpoint = std::make_shared<Endpoint>(std::move(settings), std::move(stats), workers());
  return shared->endpoint;
}

void DynamicCluster::DropLocal(Local& local, int worker) {
  for (const Checked& checked : local.checked) {
    if (checked.endpoint != nullptr) checked.endpoint->DropPool(worker);
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
  return SharedEndpoint(host, guard.get(), std::move(decision.addresses));
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
  if (!config.has_dns_cache_config()) return Invalid("needs a dns_cache_config");
  auto cache = context.server.dns_caches.GetCache(config.dns_cache_config());
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
