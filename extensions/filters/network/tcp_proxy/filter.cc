// The TCP proxy: a connection is an exchange without heads. Worker threads; what is built from the
// configuration, main thread.
#include "extensions/filters/network/tcp_proxy/filter.h"

#include "source/base/reason.h"
#include "source/config/durations.h"
#include "source/extension/access_logs.h"
#include "source/http/h1/tunnel.h"
#include "source/http/time_limits.h"
#include "source/upstream/cluster_manager.h"

namespace sluice {
namespace {

using Proto = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

class TcpExchange final : public Exchange {
 public:
  explicit TcpExchange(Connection& connection)
      : Exchange(connection.worker, connection.scope, connection.canceller, connection.facts) {
    time.start = Now();
    time.wall_start = WallNow();
  }

  Task<absl::Status> SendInterim(ResponseHeadPtr) override {
    co_return absl::OkStatus();
  }  // TCP has none.
  void LimitIdle(Duration limit) override { limits_.LimitIdle(limit); }
  void LimitDuration(Duration limit) override { limits_.LimitDuration(limit); }
  void Touch() override { limits_.Touch(); }
  void Settle() { limits_.Disarm(); }

 private:
  TimeLimits limits_{*this};
};

// Another address or a later moment may do better.
bool IsConnectFailure(Reason reason) {
  return reason == Reason::kConnectRefused || reason == Reason::kConnectTimeout;
}

}  // namespace

TcpProxyStats::TcpProxyStats(const stats::Scope& scope)
    : downstream_cx_total(scope.counter("downstream_cx_total")),
      downstream_cx_no_route(scope.counter("downstream_cx_no_route")),
      downstream_cx_rx_bytes_total(scope.counter("downstream_cx_rx_bytes_total")),
      downstream_cx_tx_bytes_total(scope.counter("downstream_cx_tx_bytes_total")),
      idle_timeout(scope.counter("idle_timeout")),
      max_downstream_connection_duration(scope.counter("max_downstream_connection_duration")),
      upstream_flush_total(scope.counter("upstream_flush_total")),
      upstream_flush_active(scope.gauge("upstream_flush_active")) {}

TcpProxy::TcpProxy(TcpProxySettings settings, TcpProxyStats stats, const ClusterManager& clusters,
                   std::vector<AccessLoggerPtr> access_logs)
    : settings_(std::move(settings)),
      stats_(stats),
      clusters_(clusters),
      access_logs_(std::move(access_logs)) {
  for (const TcpProxyTarget& target : settings_.targets) total_weight_ += target.weight;
}

Task<> TcpProxy::Handle(Connection& connection, NetworkNext) const {
  stats_.downstream_cx_total.Add();
  TcpExchange exchange(connection);
  exchange.LimitDuration(settings_.max_connection_duration);
  absl::StatusOr<StreamPtr> upstream = co_await Connect(exchange);
  if (upstream.ok()) {
    exchange.LimitIdle(settings_.idle_timeout);
    exchange.tunnel_established = true;
    ReadBuffer nothing;
    co_await RunTunnel(*connection.stream, nothing, **upstream, exchange,
                       stats_.downstream_cx_rx_bytes_total, stats_.downstream_cx_tx_bytes_total);
    *upstream = nullptr;  // Counted as closed before the log line is written.
  } else if (connection.canceller.cancelled()) {
    exchange.Note(MakeError(connection.canceller.reason()));
  }
  exchange.Settle();
  connection.stream->Close();
  if (exchange.flags().Has(ResponseFlag::kStreamIdleTimeout)) stats_.idle_timeout.Add();
  if (exchange.flags().Has(ResponseFlag::kDurationTimeout))
    stats_.max_downstream_connection_duration.Add();
  for (const AccessLoggerPtr& logger : access_logs_)
    logger->Log(LogContext{exchange, "TcpConnectionEnd"});
}

const TcpProxyTarget& TcpProxy::PickTarget(Rng& rng) const {
  if (settings_.targets.size() == 1) return settings_.targets.front();
  uint64_t ticket = rng.Below(total_weight_);
  size_t i = 0;
  while (ticket >= settings_.targets[i].weight) ticket -= settings_.targets[i++].weight;
  return settings_.targets[i];
}

// A connection to the cluster; a failure other than a cancellation is noted on the exchange.
Task<absl::StatusOr<StreamPtr>> TcpProxy::Connect(Exchange& exchange) const {
  const TcpProxyTarget& target = PickTarget(exchange.worker().rng());
  const Cluster* cluster = clusters_.Find(target.cluster, exchange.worker());
  exchange.upstream.cluster_name = target.cluster;
  if (cluster == nullptr) {
    stats_.downstream_cx_no_route.Add();
    exchange.Note(ResponseFlag::kNoClusterFound);
    exchange.set_details("cluster_not_found");
    co_return MakeError(Reason::kNoHealthyUpstream);
  }
  while (true) {
    ++exchange.upstream.attempts;
    auto stream = co_await cluster->Connect(exchange, SendOptions{});
    if (stream.ok()) co_return stream;
    const bool failed_to_connect = IsConnectFailure(ReasonOf(stream.status()));
    if (failed_to_connect && exchange.upstream.attempts < settings_.max_connect_attempts) continue;
    if (ReasonOf(stream.status()) == Reason::kCancelled) co_return stream;
    exchange.Note(stream.status());
    if (failed_to_connect) {
      target.attempts_exceeded.Add();
      exchange.Note(ResponseFlag::kUpstreamRetryLimitExceeded);
    }
    co_return stream;
  }
}

namespace {

void AddTarget(std::string_view name, uint32_t weight, std::string_view field,
               TcpProxySettings& settings, FactoryContext& context) {
  const ClusterMap& clusters = context.server.clusters.clusters();
  const auto found = clusters.find(name);
  if (found == clusters.end())
    return context.Error(field, Cat("tcp_proxy: unknown cluster '", name, "'"));
  const Cluster& cluster = *found->second;
  if (cluster.is_dynamic()) {
    return context.Error(
        field,
        Cat("cluster '", name, "' takes its hosts from HTTP requests: tcp_proxy cannot use it"));
  }
  settings.targets.push_back(
      {std::string(name), weight,
       cluster.stats().scope.counter("upstream_cx_connect_attempts_exceeded")});
}

absl::StatusOr<NetworkFilterPtr> Create(const Proto& config, FactoryContext& outer) {
  FactoryContext context{
      outer.server, outer.path,
      outer.server.stats.Root().Sub("tcp").Sub(config.stat_prefix(), stats::tag::kTcpPrefix)};
  TcpProxySettings settings;
  if (config.has_weighted_clusters()) {
    for (int i = 0; i < config.weighted_clusters().clusters_size(); ++i) {
      const auto& cluster = config.weighted_clusters().clusters(i);
      AddTarget(cluster.name(), cluster.weight(), Cat("weighted_clusters.clusters[", i, "].name"),
                settings, context);
    }
  } else {
    AddTarget(config.cluster(), 1, "cluster", settings, context);
  }
  if (config.has_idle_timeout()) settings.idle_timeout = config::ToDuration(config.idle_timeout());
  if (config.has_max_downstream_connection_duration()) {
    settings.max_connection_duration =
        config::ToDuration(config.max_downstream_connection_duration());
  }
  if (config.has_max_connect_attempts())
    settings.max_connect_attempts = config.max_connect_attempts().value();
  auto logs = BuildAccessLogs(config.access_log(), context, "access_log");
  if (settings.targets.empty()) return NetworkFilterPtr();  // Its problems are reported.
  return std::make_unique<TcpProxy>(std::move(settings), TcpProxyStats(context.scope),
                                    context.server.clusters, std::move(logs));
}

}  // namespace

void RegisterTcpProxy(Registry& registry) {
  registry.AddNetworkFilter<Proto>("envoy.filters.network.tcp_proxy",
                                   Posture::kRobustToUntrustedBoth, Create);
}

}  // namespace sluice
