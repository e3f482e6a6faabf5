// TCP proxy (envoy.filters.network.tcp_proxy): joins a client's connection to one of a cluster,
// bytes both ways, whatever they mean. Immutable, shared by all workers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "extensions/filters/network/tcp_proxy/tunneling.h"
#include "source/extension/network_filter.h"
#include "source/extension/registry.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/dns/dns_backoff.h"

namespace sluice {

/// tcp.<stat_prefix>.*, under Envoy's names.
struct TcpProxyStats {
  explicit TcpProxyStats(const stats::Scope& scope);

  Counter downstream_cx_total;
  Counter downstream_cx_no_route;
  Counter downstream_cx_rx_bytes_total, downstream_cx_tx_bytes_total;
  Counter downstream_flow_control_paused_reading_total,
      downstream_flow_control_resumed_reading_total;
  Counter idle_timeout;
  Counter max_downstream_connection_duration;
  /// Always 0: the client's connection is kept until the upstream has taken what came from it, so
  /// nothing is flushed behind it.
  Counter upstream_flush_total;
  Gauge upstream_flush_active;
};

/// Where connections go: one entry, or several by weight.
struct TcpProxyTarget {
  std::string cluster;
  uint32_t weight = 1;
  std::shared_ptr<const MetadataCriteria> criteria;  // metadata_match; null: none
  Counter attempts_exceeded;  // cluster.<name>.upstream_cx_connect_attempts_exceeded
};

/// Zero durations: no limit.
struct TcpProxySettings {
  std::vector<TcpProxyTarget> targets;
  Duration idle_timeout = std::chrono::hours(1);
  Duration max_connection_duration{};
  double duration_jitter = 0;  // part of it that is added at most
  uint32_t max_connect_attempts = 1;
  BackoffOptions back_off;  // zero base: none
  bool hash_source_ip = false;
  std::optional<TcpProxyTunneling> tunneling;
  Duration drain_time{};  // how long a connection may go on once its listener drains
  bool log_start = false;
  bool log_connected = false;
  Duration log_interval{};
};

class TcpProxy final : public NetworkFilter {
 public:
  /// `clusters` outlives the filter. `settings.targets` holds at least one.
  TcpProxy(TcpProxySettings settings, TcpProxyStats stats, const ClusterManager& clusters,
           std::vector<AccessLoggerPtr> access_logs);

  /// Connects, copies until both directions have ended, and logs the connection as one exchange. A
  /// client that breaks off while we connect ends the attempt.
  Task<> Handle(Connection& connection, NetworkNext next) const override;
  /// Counts the connection, and logs it.
  void OnRefused(Connection& connection, const ConnectionRefusal& why) const override;

 private:
  class PeriodicLog;

  const TcpProxyTarget& PickTarget(Rng& rng) const;
  Duration MaxDuration(Rng& rng) const;
  Task<absl::StatusOr<StreamPtr>> Connect(Exchange& exchange) const;
  Task<absl::StatusOr<StreamPtr>> Attempt(const Cluster& cluster, const TcpProxyTarget& target,
                                          Exchange& exchange) const;
  void Log(const Exchange& exchange, std::string_view type) const;

  const TcpProxySettings settings_;
  const TcpProxyStats stats_;
  const ClusterManager& clusters_;
  const std::vector<AccessLoggerPtr> access_logs_;
  uint64_t total_weight_ = 0;
};

/// Makes the filter known.
void RegisterTcpProxy(Registry& registry);

}  // namespace sluice
