// envoy.clusters.dynamic_forward_proxy: a cluster whose endpoints are whatever names the requests ask for, resolved through a shared
// DNS cache. Pick runs on worker threads; making an endpoint takes a mutex, once per worker and host.
#pragma once

#include <mutex>
#include <vector>

#include "source/extension/registry.h"
#include "source/upstream/dns_cache.h"

namespace sluice {

class DynamicCluster final : public Cluster, public DnsCacheObserver {
 public:
  DynamicCluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config, const stats::Scope& scope,
                 const Dialer& dialer, size_t workers, DnsCache& cache);

  bool is_dynamic() const override { return true; }
  DnsCache* dns_cache() const override { return &cache_; }

  /// The endpoint of the request's authority (port 80 where it names none, 443 with TLS). Errors: kDnsFailure, kDnsCacheOverflow,
  /// kDnsPendingOverflow, kEmptyHost, kCancelled.
  Task<absl::StatusOr<EndpointPtr>> Pick(const SendOptions& options, Exchange& exchange) const override;
  std::vector<HostView> Hosts() const override;
  void DropPools(int worker) const override;

  void OnHostRemoved(const ResolvedHostPtr& host) override;
  void OnWorkerDropped(int worker, const ResolvedHost& host, const ResolvedHost* next) override;

 private:
  struct Local {
    HostRef host;          // the version that `endpoint` was made from
    EndpointPtr endpoint;
  };
  const EndpointPtr& LocalEndpoint(int worker, const HostRef& host) const;
  EndpointPtr SharedEndpoint(const ResolvedHost& host) const;

  DnsCache& cache_;
  mutable std::vector<std::vector<Local>> locals_;  // by worker, then by the host's slot; each worker touches its own
  mutable std::mutex mutex_;
  mutable StringMap<EndpointPtr> shared_;           // guarded by mutex_; by host key
};

void RegisterDynamicForwardProxyCluster(Registry& registry);

}  // namespace sluice
