// The dynamic forward proxy cluster in sub-cluster mode: every host and port that is asked for gets
// a cluster of type STRICT_DNS of its own, whose policy balances over all addresses of the name.
// They are made and dropped on the main thread; each worker finds them in a map of its own.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "api/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "source/extension/factory_context.h"
#include "source/upstream/dns/dns_host.h"
#include "source/upstream/egress/egress_guard.h"

namespace sluice {

class SubClusters final : public Cluster {
 public:
  using Proto = envoy::extensions::clusters::dynamic_forward_proxy::v3::SubClustersConfig;

  /// `server` outlives the cluster.
  SubClusters(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config,
              const stats::Scope& scope, ServerContext& server, const Proto& sub_clusters);
  ~SubClusters() override;

  bool is_dynamic() const override { return true; }
  void Start(const std::vector<std::unique_ptr<Worker>>& workers) override;

  /// Makes the sub cluster for the request's authority, and waits until its name was looked up
  /// once. Errors: those of Pick but for the guard's.
  Task<absl::Status> Prepare(Exchange& exchange) const override;
  /// An endpoint of the sub cluster for the request's authority. Errors: kEmptyHost, kEgressDenied,
  /// kCancelled, kDnsFailure for what is no host, and kNoHealthyUpstream, with the message
  /// `sub_cluster_overflow` when there are too many, `sub_cluster_warming_timeout` when the name
  /// was not looked up in time.
  Task<absl::StatusOr<EndpointPtr>> Pick(const SendOptions& options,
                                         Exchange& exchange) const override;
  std::vector<HostView> Hosts() const override { return {}; }
  void DropPools(int) const override {}  // Those of the sub clusters, which the manager knows.

 private:
  struct Entry;   // main thread: a sub cluster
  struct Waiter;  // worker: one suspended Pick()
  struct Known;   // worker: a sub cluster that it may use
  struct Local;   // worker: its map and its waiters

  absl::StatusOr<DnsKey> KeyOf(const Exchange& exchange) const;
  Task<absl::Status> Await(Worker& worker, DnsKey key) const;
  absl::StatusOr<EndpointPtr> Guarded(absl::StatusOr<EndpointPtr> endpoint, const DnsKey& key,
                                      const Exchange& exchange) const;

  // Main thread.
  void Load(const DnsKey& key);
  static Task<> Warm(SubClusters& self, std::string key);
  static Task<> SweepAll(SubClusters& self);
  void Refuse(const std::string& key, std::string_view why);
  void Drop(const std::string& key);
  void End(const std::string& key, const Cluster* cluster);
  envoy::config::cluster::v3::Cluster ConfigOf(const DnsKey& key) const;
  void PostToAll(const std::function<void(int worker)>& call) const;

  ServerContext& server_;
  const Proto config_;
  const size_t max_;
  const Duration ttl_;
  mutable std::vector<std::unique_ptr<Local>> locals_;  // each touched by its worker
  // Main thread.
  const std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
  StringMap<std::unique_ptr<Entry>> entries_;
  std::vector<ClusterPtr> dying_;  // some worker may still know them
};

}  // namespace sluice
