// Endpoints on demand. See cluster.h for the threads.
#include "extensions/clusters/dynamic_forward_proxy/cluster.h"

#include "api/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"
#include "source/upstream/dns_cache_manager.h"

namespace sluice {
namespace {

void DropPool(const Endpoint& endpoint, int worker) {
  const std::shared_ptr<ConnPool> pool = std::move(endpoint.pool(worker));
  if (pool != nullptr) pool->Close();
}

}  // namespace

DynamicCluster::DynamicCluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config, const stats::Scope& scope,
                               const Dialer& dialer, size_t workers, DnsCache& cache)
    : Cluster(std::move(settings), config, scope, dialer, workers), cache_(cache), locals_(workers) {}

Task<absl::StatusOr<EndpointPtr>> DynamicCluster::Pick(const SendOptions&, Exchange& exchange) const {
  const int worker = exchange.worker().index();
  const std::string_view authority = exchange.request_head() == nullptr ? "" : exchange.request_head()->authority;
  const uint16_t default_port = settings().is_tls ? 443 : 80;
  const auto found = cache_.Find(worker, authority, default_port);
  if (!found.ok()) co_return found.status();
  if (*found != nullptr) co_return LocalEndpoint(worker, **found);
  auto resolved = co_await cache_.Resolve(exchange.worker(), std::string(authority), default_port);
  if (!resolved.ok()) co_return resolved.status();
  co_return LocalEndpoint(worker, *resolved);
}

const EndpointPtr& DynamicCluster::LocalEndpoint(int worker, const HostRef& host) const {
  std::vector<Local>& locals = locals_[worker];
  if (host->slot >= locals.size()) locals.resize(host->slot + 1);
  Local& local = locals[host->slot];
  if (local.host.get() != host.get()) {
    if (local.endpoint != nullptr) DropPool(*local.endpoint, worker);
    local = {host, SharedEndpoint(*host)};
  }
  return local.endpoint;
}

EndpointPtr DynamicCluster::SharedEndpoint(const ResolvedHost& host) const {
  std::vector<Address> addresses;
  for (const Address& address : host.addresses) addresses.push_back(address.WithPort(host.port));
  std::lock_guard lock(mutex_);
  EndpointPtr& shared = shared_[host.key];
  if (shared == nullptr || shared->addresses() != addresses) {
    // Figures survive a change of address.
    std::shared_ptr<HostStats> stats = shared == nullptr ? std::make_shared<HostStats>() : shared->shared_stats();
    Endpoint::Settings settings;
    settings.hostname = host.key;
    settings.addresses = std::move(addresses);
    shared = std::make_shared<Endpoint>(std::move(settings), std::move(stats), workers());
  }
  return shared;
}

void DynamicCluster::OnHostRemoved(const ResolvedHostPtr& host) {
  std::lock_guard lock(mutex_);
  shared_.erase(host->key);
}

void DynamicCluster::OnWorkerDropped(int worker, const ResolvedHost& host, const ResolvedHost*) {
  std::vector<Local>& locals = locals_[worker];
  if (host.slot >= locals.size() || locals[host.slot].host.get() != &host) return;
  DropPool(*locals[host.slot].endpoint, worker);
  locals[host.slot] = {};
}

void DynamicCluster::DropPools(int worker) const {
  for (Local& local : locals_[worker]) {
    if (local.endpoint != nullptr) DropPool(*local.endpoint, worker);
  }
  locals_[worker].clear();
}

std::vector<Cluster::HostView> DynamicCluster::Hosts() const {
  std::vector<HostView> views;
  for (const DnsCache::HostView& host : cache_.Hosts()) {
    if (host.host == nullptr || host.host->addresses.empty()) continue;
    const EndpointPtr endpoint = SharedEndpoint(*host.host);
    views.push_back({endpoint->address().ToString(), endpoint->hostname(), endpoint->shared_stats(), endpoint->settings()});
  }
  return views;
}

namespace {

using Proto = envoy::extensions::clusters::dynamic_forward_proxy::v3::ClusterConfig;

absl::StatusOr<std::shared_ptr<Cluster>> Create(const Proto& config, ClusterFactoryContext& context) {
  if (context.config.lb_policy() != envoy::config::cluster::v3::Cluster::CLUSTER_PROVIDED) {
    return Invalid("cluster manager: cluster provided LB not specified but cluster '", context.config.name(),
                   "' provided one. Check cluster documentation: set lb_policy: CLUSTER_PROVIDED");
  }
  if (!config.allow_insecure_cluster_options() && !context.auto_sni_and_san) {
    return Invalid("dynamic_forward_proxy cluster must have auto_sni and auto_san_validation true unless allow_insecure_cluster_options "
                   "is set.");
  }
  if (!config.has_dns_cache_config()) return Invalid("needs a dns_cache_config");
  auto cache = context.server.dns_caches.GetCache(config.dns_cache_config());
  if (!cache.ok()) return cache.status();
  auto cluster = std::make_shared<DynamicCluster>(context.settings, context.config, context.scope, context.server.dialer,
                                                  context.server.workers, **cache);
  (*cache)->AddObserver(cluster);
  return cluster;
}

}  // namespace

void RegisterDynamicForwardProxyCluster(Registry& registry) {
  registry.AddCluster<Proto>("envoy.clusters.dynamic_forward_proxy", Create);
}

}  // namespace sluice
