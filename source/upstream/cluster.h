// Cluster: a named group of upstream endpoints, how to reach them, and what they may cost. Shared
// by all workers; Send and Connect run on worker threads and touch only the worker's own part.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "source/config/runtime.h"
#include "source/http/exchange.h"
#include "source/http/h1/client_session.h"
#include "source/net/dialer.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/address_order.h"
#include "source/upstream/balancer.h"
#include "source/upstream/circuit_breaker.h"
#include "source/upstream/cluster_stats.h"
#include "source/upstream/endpoint.h"
#include "source/upstream/health_checker.h"
#include "source/upstream/outlier_detection.h"
#include "source/upstream/retry_hosts.h"

namespace sluice {

class DnsCache;
class MetadataCriteria;
struct UpstreamTransport;

enum class Priority : uint8_t { kDefault, kHigh };

/// Why a cluster takes no requests.
enum class TurnedAway : uint8_t { kNot, kMaintenance, kDropped, kAllDropped };

/// What the configuration says, in the units that the request path uses. A duration of zero: no
/// limit.
struct ClusterSettings {
  std::string name;
  Duration connect_timeout = std::chrono::seconds(5);
  Duration idle_timeout = std::chrono::hours(1);
  Duration max_connection_duration{};
  uint32_t max_requests_per_connection = 0;  // 0: no limit
  size_t max_response_headers = 100;
  size_t max_response_headers_bytes = 80 * 1024;
  size_t buffer_limit = 1024 * 1024;
  bool enable_trailers = false;
  std::string zone;  // the proxy's own; empty: not known
  /// By Priority: of the cluster, and the connections to one host (nullopt: no limit).
  Thresholds thresholds[2];
  std::optional<uint32_t> max_connections_per_host[2];
  DialOptions dial;
  std::shared_ptr<const UpstreamTransport> transport;  // null: nothing but the bytes
  Duration max_stream_duration{};                      // of a request and its response
  AddressOrder address_order;
  /// Connections for each request, to its host and in the cluster (preconnect_policy); 1: no more.
  double preconnect_ratio = 1, predictive_preconnect_ratio = 1;
  bool is_tls = false;
  bool pool_per_downstream = false;    // connections serve one downstream connection only
  Worker* main = nullptr;              // where health is judged; null: nobody does
  config::Runtime* runtime = nullptr;  // for what has a key and no field; null: nothing has
};

/// Requests and tunnels of one worker that have a connection or wait for one; connections, also
/// those that are being made.
struct PoolLoad {
  size_t requests = 0, connections = 0;
};

/// One attempt's wishes.
struct SendOptions {
  Priority priority = Priority::kDefault;
  uint64_t hash = 0;  // of the request, for balancers that use one; 0: it has none
  bool auto_host_rewrite =
      false;  // the request's authority becomes the endpoint's hostname, where it has one ...
  bool append_x_forwarded_host = false;  // ... and x-forwarded-host gets the old one appended
  bool original_host_header = false;     // ... and x-envoy-original-host gets it, too
  /// What the route asks of endpoints, for clusters with subsets; null: nothing.
  const MetadataCriteria* criteria = nullptr;
  AttemptedHosts* attempted = nullptr;  // avoided where possible, and added to; null: do not care
};

class Cluster {
 public:
  Cluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config,
          const stats::Scope& scope, const Dialer& dialer, size_t workers);
  virtual ~Cluster();

  const std::string& name() const { return settings_.name; }
  const ClusterSettings& settings() const { return settings_; }
  /// What a session over a connection of this cluster accepts and sends.
  ClientSession::Limits session_limits() const {
    return {settings_.max_response_headers, settings_.max_response_headers_bytes,
            settings_.buffer_limit, settings_.enable_trailers};
  }
  const envoy::config::cluster::v3::Cluster& config() const { return config_; }
  WallTime made_at() const { return made_at_; }
  const ClusterStats& stats() const { return stats_; }
  CircuitBreaker& breaker(Priority priority) const {
    return *breakers_[static_cast<size_t>(priority)];
  }
  const Dialer& dialer() const { return dialer_; }
  /// Worker: whether and why the router is to answer this request itself:
  /// upstream.maintenance_mode.<name>, in percent (counted), or drop_overloads.
  TurnedAway TurnsAway(Rng& rng) const {
    const uint32_t percent = maintenance_.Get();
    if (percent != 0 && rng.Below(100) < percent) {
      stats_.upstream_rq_maintenance_mode.Add();
      return TurnedAway::kMaintenance;
    }
    return drop_.numerator == 0 ? TurnedAway::kNot : Drops(rng);
  }

  /// True for a dynamic forward proxy cluster; the filter of that name acts on routes to such
  /// clusters only.
  virtual bool is_dynamic() const { return false; }
  /// True when Pick looks at SendOptions::hash.
  virtual bool uses_hash() const { return false; }
  /// The cache of a dynamic cluster; null for others.
  virtual DnsCache* dns_cache() const { return nullptr; }

  /// Main thread, before the workers run and before Start(): begins what watches the health of the
  /// hosts.
  void StartHealth();
  /// Main thread, before the workers run: begins what the cluster does in the background (DNS).
  /// `workers` outlive the cluster.
  virtual void Start(const std::vector<std::unique_ptr<Worker>>& workers) {}
  /// Main thread: ends what Start began; nothing is handed to the workers any more.
  virtual void Stop() {}
  /// Main thread: a value of the runtime may have changed.
  virtual void OnRuntimeChanged() {}
  /// Main thread: false until the cluster knows its first endpoints, or that there are none.
  virtual bool ready() const { return true; }

  /// Worker: an endpoint for this request. Errors: kNoHealthyUpstream; where names come with the
  /// requests also kDnsFailure, kCancelled and what the cluster type adds.
  virtual Task<absl::StatusOr<EndpointPtr>> Pick(const SendOptions& options,
                                                 Exchange& exchange) const = 0;

  /// Worker: waits for what Pick would wait for, without taking an endpoint. Errors: those of Pick.
  virtual Task<absl::Status> Prepare(Exchange& exchange) const { co_return absl::OkStatus(); }

  /// Worker: sends the request to an endpoint and returns the response once its head is there. The
  /// body of the response gives the connection back to its pool when it was read to a clean end. A
  /// kept connection that the peer has closed is left for another one; where it closes while the
  /// request is on its way, the request is sent again on a new one, if it is idempotent and has no
  /// body or upgrade. Fills exchange.upstream and time. Errors: those of Pick, of
  /// ConnPool::Acquire and of ClientSession::RoundTrip; kOverflow. All three outlive the task.
  Task<absl::StatusOr<Response>> Send(Request& request, Exchange& exchange,
                                      const SendOptions& options) const;

  /// Worker: a connection of its own to an endpoint, for a tunnel. Counts against connections and
  /// pending, not requests. Errors: those of Pick and of ConnPool::Acquire. Both outlive the task.
  Task<absl::StatusOr<StreamPtr>> Connect(Exchange& exchange, const SendOptions& options) const;

  /// Main thread: every host that /clusters shows.
  struct HostView {
    std::string address, hostname;
    std::shared_ptr<const HostStats> stats;
    Endpoint::Settings settings;
  };
  virtual std::vector<HostView> Hosts() const = 0;

  /// Worker, or the main thread before there are any: how many hosts there are and how many of them
  /// are healthy or degraded. Nothing where the hosts come with the requests.
  struct Membership {
    size_t total = 0, usable = 0;
  };
  virtual std::optional<Membership> membership(int worker) const { return std::nullopt; }

  /// Main thread: brings the gauges up to date that are computed when somebody looks (breakers,
  /// membership).
  void RefreshGauges() const;

  /// Worker: closes the pools of this worker, before it ends.
  virtual void DropPools(int worker) const = 0;

  /// Main thread, before the first endpoints: has the hosts checked.
  void CheckHealth(std::shared_ptr<const HealthCheckSettings> settings);

  /// Null where none is configured.
  const OutlierDetector* outlier_detector() const { return outlier_.get(); }

 protected:
  /// Main thread: the figures of the host of that name and address; successive endpoints of one
  /// host share them.
  std::shared_ptr<HostStats> StatsFor(const std::string& key);
  /// Main thread: what answers of hosts in that zone are counted under; null: nothing, where that
  /// zone or the proxy's own is not known.
  const AnswerStats* AnswersOf(const std::string& zone) const;
  const stats::Scope& scope() const { return stats_.scope; }
  size_t workers() const { return workers_; }
  /// The policy that wants to know how long answers take; null: nobody does.
  void set_measuring(const Balancer& balancer) { measuring_ = &balancer; }
  /// Main thread: the health of a host has changed.
  virtual void OnHealthChanged(const HostStats& host) {}
  /// Worker: the endpoint that Pick will give after those that were asked for here before; null:
  /// nobody can tell.
  virtual EndpointPtr PeekNext(Worker& worker) const { return nullptr; }
  /// Worker: the sum over its pools.
  virtual PoolLoad LoadOn(int worker) const { return {}; }
  /// Null where none is configured.
  HealthChecker* health_checker() const { return checker_.get(); }

 private:
  ConnPool& PoolFor(const Endpoint& endpoint, Worker& worker) const;
  void Anticipate(Worker& worker, Priority priority) const;
  /// Why what was picked cannot serve; counted.
  absl::Status WhyNone(const absl::StatusOr<EndpointPtr>& picked) const;
  /// What an attempt that began at `start` says about its host.
  void Judge(const Endpoint& endpoint, const absl::StatusOr<Response>& response, Exchange& exchange,
             TimePoint start) const;
  /// From now on the exchange's pauses are this cluster's, too.
  void CountFlowOf(Exchange& exchange) const;
  void Measure(const Endpoint& endpoint, bool failed, Exchange& exchange, TimePoint start) const;
  Task<absl::StatusOr<EndpointPtr>> PickAgain(const SendOptions& options, Exchange& exchange) const;
  Task<absl::StatusOr<Response>> SendAfter(Task<absl::StatusOr<EndpointPtr>> picking,
                                           BreakerUnit unit, Request& request, Exchange& exchange,
                                           const SendOptions& options) const;
  Task<absl::StatusOr<Response>> SendTo(absl::StatusOr<EndpointPtr> picked, BreakerUnit unit,
                                        Request& request, Exchange& exchange,
                                        const SendOptions& options) const;
  Task<absl::StatusOr<Response>> Try(EndpointPtr endpoint, BreakerUnit unit, Request& request,
                                     Exchange& exchange, Priority priority) const;
  void NoteConnected(const Endpoint& endpoint, const Stream& stream, Exchange& exchange) const;
  void CountFailure(Reason reason) const;
  TurnedAway Drops(Rng& rng) const;

  const ClusterSettings settings_;
  const envoy::config::cluster::v3::Cluster config_;
  const WallTime made_at_ = WallNow();
  const ClusterStats stats_;
  const Dialer& dialer_;
  const size_t workers_;
  std::unique_ptr<CircuitBreaker> breakers_[2];
  const config::RuntimeUInt32 maintenance_;  // percent of the requests
  const config::Fraction drop_;              // of the requests
  const config::RuntimeUInt32 drop_limit_;   // percent of them, at most
  const ClusterStats::Breaker breaker_gauges_[2];
  StringMap<std::weak_ptr<HostStats>> hosts_;  // main thread
  const Balancer* measuring_ = nullptr;
  std::shared_ptr<OutlierDetector> outlier_;  // null: none
  std::shared_ptr<HealthChecker> checker_;    // null: none
};

using ClusterPtr = std::shared_ptr<Cluster>;

}  // namespace sluice
