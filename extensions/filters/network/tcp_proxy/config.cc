// The TCP proxy from its configuration. Main thread.
#include "api/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "extensions/filters/network/tcp_proxy/filter.h"
#include "source/config/durations.h"
#include "source/extension/access_logs.h"
#include "source/upstream/cluster_manager.h"
#include "source/upstream/metadata_criteria.h"

namespace sluice {
namespace {

using Proto = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using config::ToDuration;

void AddTarget(std::string_view name, uint32_t weight,
               std::shared_ptr<const MetadataCriteria> criteria, std::string_view field,
               TcpProxySettings& settings, FactoryContext& context) {
  if (context.server.clusters.IsRefused(std::string(name))) return;
  const ClusterMap& clusters = context.server.clusters.clusters();
  const auto found = clusters.find(name);
  if (found == clusters.end())
    return context.Error(field, Cat("tcp_proxy: unknown cluster '", name, "'"));
  const Cluster& cluster = *found->second;
  if (cluster.is_dynamic() && cluster.dns_cache() == nullptr) {
    return context.Error(field, Cat("cluster '", name,
                                    "' has sub_clusters_config, which needs HTTP: tcp_proxy takes "
                                    "one with dns_cache_config"));
  }
  settings.targets.push_back(
      {std::string(name), weight, std::move(criteria),
       cluster.stats().scope.counter("upstream_cx_connect_attempts_exceeded")});
}

void ReadTargets(const Proto& config, TcpProxySettings& settings, FactoryContext& context) {
  const auto criteria = MetadataCriteria::Build(config.metadata_match());
  if (!config.has_weighted_clusters())
    return AddTarget(config.cluster(), 1, criteria, "cluster", settings, context);
  for (int i = 0; i < config.weighted_clusters().clusters_size(); ++i) {
    const auto& cluster = config.weighted_clusters().clusters(i);
    AddTarget(cluster.name(), cluster.weight(),
              MetadataCriteria::Build(cluster.metadata_match(), criteria),
              Cat("weighted_clusters.clusters[", i, "].name"), settings, context);
  }
}

void ReadTunneling(const Proto& config, TcpProxySettings& settings, FactoryContext& context) {
  if (!config.has_tunneling_config()) return;
  auto tunneling = TcpProxyTunneling::Build(config.tunneling_config(), context);
  if (!tunneling.ok())
    return context.Error("tunneling_config.hostname", Std(tunneling.status().message()));
  settings.tunneling.emplace(*std::move(tunneling));
}

void ReadLimits(const Proto& config, TcpProxySettings& settings) {
  if (config.has_idle_timeout()) settings.idle_timeout = ToDuration(config.idle_timeout());
  if (config.has_max_downstream_connection_duration())
    settings.max_connection_duration = ToDuration(config.max_downstream_connection_duration());
  settings.duration_jitter =
      config.max_downstream_connection_duration_jitter_percentage().value() / 100;
  if (config.has_max_connect_attempts())
    settings.max_connect_attempts = config.max_connect_attempts().value();
  if (config.has_backoff_options()) {
    settings.back_off.base = ToDuration(config.backoff_options().base_interval());
    if (config.backoff_options().has_max_interval())
      settings.back_off.max = ToDuration(config.backoff_options().max_interval());
  }
  settings.hash_source_ip = config.hash_policy_size() > 0;
}

void ReadLogging(const Proto& config, TcpProxySettings& settings) {
  const auto& options = config.access_log_options();
  settings.log_start = options.flush_access_log_on_start();
  settings.log_connected =
      options.flush_access_log_on_connected() || config.flush_access_log_on_connected();
  if (options.has_access_log_flush_interval()) {
    settings.log_interval = ToDuration(options.access_log_flush_interval());
  } else if (config.has_access_log_flush_interval()) {
    settings.log_interval = ToDuration(config.access_log_flush_interval());
  }
}

absl::StatusOr<NetworkFilterPtr> Create(const Proto& config, FactoryContext& outer) {
  FactoryContext context{
      outer.server, outer.path,
      outer.server.stats.Root().Sub("tcp").Sub(config.stat_prefix(), stats::tag::kTcpPrefix)};
  TcpProxySettings settings;
  settings.drain_time = context.server.drain_time;
  ReadTargets(config, settings, context);
  ReadTunneling(config, settings, context);
  ReadLimits(config, settings);
  ReadLogging(config, settings);
  auto logs = BuildAccessLogs(config.access_log(), context, "access_log");
  if (settings.targets.empty()) return NetworkFilterPtr();  // Its problems are reported.
  return std::make_unique<TcpProxy>(std::move(settings), TcpProxyStats(context.scope),
                                    context.server.clusters, std::move(logs));
}

}  // namespace

void RegisterTcpProxy(Registry& registry) {
  registry.AddTerminalNetworkFilter<Proto>("envoy.filters.network.tcp_proxy",
                                           Posture::kRobustToUntrustedBoth, Create);
}

}  // namespace sluice
