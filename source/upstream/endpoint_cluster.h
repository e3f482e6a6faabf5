// EndpointCluster: a cluster whose endpoints are a list: written down (STATIC) or looked up
// (STRICT_DNS, LOGICAL_DNS). The list is published to the workers; each picks from its own copy.
#pragma once

#include <memory>
#include <vector>

#include "source/upstream/cluster.h"
#include "source/upstream/dns/dns_tracker.h"
#include "source/upstream/endpoint_set.h"
#include "source/upstream/subset_table.h"

namespace sluice {

class EndpointCluster : public Cluster {
 public:
  EndpointCluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config,
                  const stats::Scope& scope, const Dialer& dialer, size_t workers,
                  std::unique_ptr<const Balancer> balancer);
  ~EndpointCluster() override;

  Task<absl::StatusOr<EndpointPtr>> Pick(const SendOptions& options,
                                         Exchange& exchange) const override;
  std::vector<HostView> Hosts() const override;
  std::optional<Membership> membership(int worker) const override;
  void DropPools(int worker) const override;
  bool uses_hash() const override { return balancer_->uses_hash(); }
  void Start(const std::vector<std::unique_ptr<Worker>>& workers) override { workers_ = &workers; }
  void OnRuntimeChanged() override;
  bool ready() const override {
    return health_checker() == nullptr || health_checker()->first_round_done();
  }

  /// Main thread: replaces the endpoints; those that stay the same keep their pools.
  void Update(std::vector<Endpoint::Settings> hosts);

 private:
  struct alignas(64) Slot {
    EndpointList endpoints;  // all, whose pools are this worker's to drop
    std::shared_ptr<const EndpointSet> set;
    PickState state;
    std::vector<EndpointPtr> ahead;              // picked before they were wanted, in order
    std::shared_ptr<const SubsetTable> subsets;  // null: the cluster has none
    SubsetTable::State subset_states;
  };
  // What is published: both of the same endpoints.
  struct Sets {
    std::shared_ptr<const EndpointSet> all;
    std::shared_ptr<const SubsetTable> subsets;
  };
  absl::StatusOr<EndpointPtr> PickWithCare(Slot& slot, const SendOptions& options,
                                           Exchange& exchange) const;
  /// Null: nobody may serve.
  EndpointPtr Choose(const EndpointSet& set, PickState& state, const SendOptions& options,
                     Rng& rng) const;
  EndpointPtr ChooseSubset(Slot& slot, const SendOptions& options, Exchange& exchange) const;
  EndpointPtr PeekNext(Worker& worker) const override;
  PoolLoad LoadOn(int worker) const override;
  void OnHealthChanged(const HostStats& host) override;
  /// True where hosts come and go, and one that is named no more may stay while it is healthy.
  virtual bool keeps_healthy() const { return false; }
  EndpointPtr MakeEndpoint(Endpoint::Settings host);
  void KeepHealthy(EndpointList& next) const;
  void SetCurrent(EndpointList next);
  Sets MakeSets();
  static void SetState(Slot& slot, const Sets& sets, int worker, Rng& rng);
  /// Hands the endpoints, with their health as it is now, to the workers. The pools of `failed`, if
  /// it is not null, are dropped: another attempt at it is to take another connection.
  void Publish(EndpointPtr failed, bool drop_all = false);
  static void Replace(Slot& slot, const EndpointList& endpoints, const Sets& sets, Worker& worker);

  const std::unique_ptr<const Balancer> balancer_;
  const config::RuntimeDouble panic_percent_;
  EndpointSetOptions options_;                           // main thread: as last published
  const std::optional<SubsetSettings> subset_settings_;  // none: no subsets
  std::shared_ptr<const SubsetTable> subsets_;           // main thread: as last published
  mutable std::vector<Slot> slots_;
  EndpointList current_;  // main thread
  const std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
};

/// STRICT_DNS (every address is an endpoint) and LOGICAL_DNS (the name is one endpoint with all its
/// addresses).
class DnsCluster final : public EndpointCluster {
 public:
  struct Name {
    DnsTrackerOptions lookup;
    Endpoint::Settings host;  // without addresses
    uint16_t port = 0;
  };
  DnsCluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config,
             const stats::Scope& scope, const Dialer& dialer, size_t workers,
             std::unique_ptr<const Balancer> balancer, std::vector<Name> names, bool logical,
             Resolver& resolver, Worker& main);

  void Start(const std::vector<std::unique_ptr<Worker>>& workers) override;
  void Stop() override;
  bool ready() const override { return unanswered_ == 0 && EndpointCluster::ready(); }

 private:
  void OnAnswer(size_t index, const DnsAnswer& answer);
  bool keeps_healthy() const override { return !logical_; }

  struct Tracked {
    Name name;
    std::unique_ptr<DnsTracker> tracker;
    std::vector<Address> addresses;
    bool answered = false;
  };
  std::vector<Tracked> names_;
  const bool logical_;
  size_t unanswered_;
};

}  // namespace sluice
