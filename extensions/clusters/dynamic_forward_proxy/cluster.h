// envoy.clusters.dynamic_forward_proxy: a cluster whose endpoints are whatever names the requests
// ask for, resolved through a shared DNS cache, as far as the egress guard lets them be dialled.
// Pick runs on worker threads; making an endpoint takes a mutex, once per worker, host and policy.
#pragma once

#include <mutex>
#include <vector>

#include "source/extension/registry.h"
#include "source/upstream/dns/dns_cache.h"
#include "source/upstream/egress/egress_guard.h"

namespace sluice {

class DynamicCluster final : public Cluster, public DnsCacheObserver {
 public:
  DynamicCluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config,
                 const stats::Scope& scope, const Dialer& dialer, size_t workers, DnsCache& cache,
                 const Egress* egress);

  bool is_dynamic() const override { return true; }
  DnsCache* dns_cache() const override { return &cache_; }

  /// The endpoint of the request's authority (port 80 where it names none, 443 with TLS), or of the
  /// filter state envoy.upstream.dynamic_host and dynamic_port, with those addresses only that the
  /// egress guard allows. Each address of a name can be an endpoint's first one: retries take the
  /// next, and with ROUND_ROBIN all requests take turns. Errors: kDnsFailure, kDnsCacheOverflow,
  /// kDnsPendingOverflow, kEmptyHost, kEgressDenied, kCancelled.
  Task<absl::StatusOr<EndpointPtr>> Pick(const SendOptions& options,
                                         Exchange& exchange) const override;
  std::vector<HostView> Hosts() const override;
  void DropPools(int worker) const override;

  void OnHostRemoved(const ResolvedHostPtr& host) override;
  void OnWorkerDropped(int worker, const ResolvedHost& host, const ResolvedHost* next) override;

 private:
  // What one policy made of one version of a host. It keeps the policy: as long as it stands here,
  // its address means it.
  struct Checked {
    std::shared_ptr<const EgressGuard> guard;  // null: none
    EgressGuard::Decision::Outcome outcome = EgressGuard::Decision::kAllowed;
    EgressRule rule;
    std::vector<Address> addresses;  // empty when denied
    /// Made when first wanted: [i] begins with the address i and goes on with the others, [n + i]
    /// has this address only.
    std::vector<EndpointPtr> endpoints;
    size_t turn = 0;  // of ROUND_ROBIN
  };
  struct Local {
    HostRef host;                  // the version that was checked
    std::vector<Checked> checked;  // as a rule there is one policy
  };
  // Endpoints of different policies are different: a connection that one of them allowed is none of
  // another's.
  struct Shared {
    std::shared_ptr<const EgressGuard> guard;
    std::vector<Address> addresses;
    std::vector<EndpointPtr> endpoints;  // as Checked::endpoints
  };
  const EgressGuard* GuardOf(const Exchange& exchange) const;
  absl::Status Denied(const EgressRule& rule) const;
  absl::StatusOr<EndpointPtr> Choose(const HostRef& host, const EgressGuard* guard,
                                     Exchange& exchange) const;
  size_t IndexFor(Checked& checked, Exchange& exchange) const;
  Checked& Check(int worker, const HostRef& host, const EgressGuard* guard) const;
  static EgressGuard::Decision Decide(const ResolvedHost& host, const EgressGuard* guard);
  EndpointPtr SharedEndpoint(const ResolvedHost& host, const EgressGuard* guard,
                             const std::vector<Address>& addresses, size_t index) const;
  EndpointPtr ShownEndpoint(const ResolvedHost& host) const;
  static void DropLocal(Local& local, int worker);

  DnsCache& cache_;
  const Egress* const egress_;  // null: nothing is guarded
  mutable std::vector<std::vector<Local>>
      locals_;  // by worker, then by the host's slot; each worker touches its own
  mutable std::mutex mutex_;
  mutable StringMap<std::vector<Shared>> shared_;  // guarded by mutex_; by host key
};

/// Makes the cluster type known.
void RegisterDynamicForwardProxyCluster(Registry& registry);

}  // namespace sluice
