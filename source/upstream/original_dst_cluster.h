// OriginalDstCluster (type ORIGINAL_DST): the endpoint of a request is the address to which its
// client had connected, before iptables (or a PROXY header) redirected it here, as far as the
// egress guard lets it be dialled. Pick runs on worker threads, each with its own endpoints.
#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "source/upstream/cluster.h"
#include "source/upstream/egress/egress_guard.h"

namespace sluice {

class OriginalDstCluster final : public Cluster {
 public:
  struct Destination {
    std::string header;          // in lower case: names the address where it is there; empty: none
    uint16_t port_override = 0;  // 0: none
    Duration cleanup_interval = std::chrono::seconds(5);
  };

  OriginalDstCluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config,
                     const stats::Scope& scope, const Dialer& dialer, size_t workers,
                     Destination destination, const Egress* egress);
  ~OriginalDstCluster() override;

  /// Errors: kNoHealthyUpstream (no IP address), kEgressDenied.
  Task<absl::StatusOr<EndpointPtr>> Pick(const SendOptions& options,
                                         Exchange& exchange) const override;
  std::vector<HostView> Hosts() const override;
  void DropPools(int worker) const override;

 private:
  struct Entry {
    std::shared_ptr<const EgressGuard> guard;  // that allowed it; null: none
    EndpointPtr endpoint;
    TimePoint last_used;
  };
  struct alignas(64) Local {
    absl::flat_hash_map<std::string, Entry> entries;  // by address and guard
    TimePoint swept;
  };

  absl::StatusOr<Address> AddressFor(const Exchange& exchange) const;
  EndpointPtr Make(const Address& address) const;
  void Sweep(Local& local, int worker) const;

  const Destination destination_;
  const Egress* const egress_;  // null: nothing is guarded
  mutable std::vector<Local> locals_;
  mutable std::mutex mutex_;
  mutable StringMap<std::weak_ptr<const Endpoint>> shown_;  // guarded by mutex_; by address
  mutable size_t sweep_shown_at_ = 64;                      // guarded by mutex_; its size then
};

}  // namespace sluice
