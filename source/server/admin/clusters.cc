// /clusters: every cluster with its limits and hosts. Main thread.
#include "api/envoy/admin/v3/clusters.pb.h"
#include "source/base/strings.h"
#include "source/observe/match/match.h"
#include "source/server/admin/page.h"
#include "source/server/admin/proto.h"

namespace sluice::admin {
namespace {

namespace api = envoy::admin::v3;
namespace core = envoy::config::core::v3;

// The figures of a host, sorted by name.
template <class Visitor>
void ForEachFigure(const HostStats& stats, Visitor visit) {
  visit("cx_active", true, static_cast<uint64_t>(Read(stats.cx_active)));
  visit("cx_connect_fail", false, Read(stats.cx_connect_fail));
  visit("cx_total", false, Read(stats.cx_total));
  visit("rq_active", true, static_cast<uint64_t>(Read(stats.rq_active)));
  visit("rq_error", false, Read(stats.rq_error));
  visit("rq_pending_active", true, static_cast<uint64_t>(Read(stats.rq_pending)));
  visit("rq_success", false, Read(stats.rq_success));
  visit("rq_timeout", false, Read(stats.rq_timeout));
  visit("rq_total", false, Read(stats.rq_total));
}

void AppendThresholds(std::string_view cluster, std::string_view priority,
                      const Thresholds& thresholds, std::string* out) {
  const std::string prefix = Cat(cluster, "::", priority, "_priority::max_");
  AppendTo(out, prefix, "connections::", thresholds.max_connections, "\n");
  AppendTo(out, prefix, "pending_requests::", thresholds.max_pending_requests, "\n");
  AppendTo(out, prefix, "requests::", thresholds.max_requests, "\n");
  AppendTo(out, prefix, "retries::", thresholds.max_retries, "\n");
}

void AppendHost(std::string_view cluster, const Cluster::HostView& host, std::string* out) {
  const std::string prefix = Cat(cluster, "::", host.address, "::");
  ForEachFigure(*host.stats, [&](std::string_view name, bool, uint64_t value) {
    AppendTo(out, prefix, name, "::", value, "\n");
  });
  const Endpoint::Settings& settings = host.settings;
  AppendTo(out, prefix, "hostname::", host.hostname, "\n");
  AppendTo(out, prefix, "health_flags::", host.stats->health.ToString(), "\n");
  AppendTo(out, prefix, "weight::", settings.weight, "\n");
  AppendTo(out, prefix, "region::", settings.region, "\n");
  AppendTo(out, prefix, "zone::", settings.zone, "\n");
  AppendTo(out, prefix, "sub_zone::", settings.sub_zone, "\n");
  AppendTo(out, prefix, "canary::", settings.canary ? "true" : "false", "\n", prefix,
           "priority::", settings.priority, "\n");
  const HostHealth::Ejection& rates = host.stats->health.ejection;
  AppendTo(out, prefix, "success_rate::", rates.success_rate, "\n");
  AppendTo(out, prefix, "local_origin_success_rate::", rates.local_success_rate, "\n");
}

void AppendRates(std::string_view cluster, std::string_view kind,
                 const OutlierDetector::Rates& rates, std::string* out) {
  AppendTo(out, cluster, "::outlier::", kind, "_average::", rates.average, "\n");
  AppendTo(out, cluster, "::outlier::", kind, "_ejection_threshold::", rates.threshold, "\n");
}

// The name in statistics.
const std::string& ObservabilityName(const envoy::config::cluster::v3::Cluster& config) {
  return config.alt_stat_name().empty() ? config.name() : config.alt_stat_name();
}

std::string Text(const std::vector<ClusterView>& clusters) {
  std::string out;
  for (const ClusterView& cluster : clusters) {
    const std::string& name = cluster.config->name();
    AppendTo(&out, name, "::observability_name::", ObservabilityName(*cluster.config), "\n");
    if (cluster.rates.has_value()) AppendRates(name, "success_rate", *cluster.rates, &out);
    if (cluster.local_rates.has_value())
      AppendRates(name, "local_origin_success_rate", *cluster.local_rates, &out);
    AppendThresholds(name, "default", cluster.default_thresholds, &out);
    AppendThresholds(name, "high", cluster.high_thresholds, &out);
    AppendTo(&out, name, "::added_via_api::false\n");
    for (const Cluster::HostView& host : cluster.hosts) AppendHost(name, host, &out);
  }
  return out;
}

void AddThresholds(const Thresholds& thresholds, core::RoutingPriority priority,
                   api::ClusterStatus& status) {
  auto& message = *status.mutable_circuit_breakers()->add_thresholds();
  message.set_priority(priority);
  message.mutable_max_connections()->set_value(thresholds.max_connections);
  message.mutable_max_pending_requests()->set_value(thresholds.max_pending_requests);
  message.mutable_max_requests()->set_value(thresholds.max_requests);
  message.mutable_max_retries()->set_value(thresholds.max_retries);
}

void AddHost(const Cluster::HostView& host, api::ClusterStatus& cluster) {
  api::HostStatus& status = *cluster.add_host_statuses();
  const Endpoint::Settings& settings = host.settings;
  if (!settings.addresses.empty()) *status.mutable_address() = ToProto(settings.addresses.front());
  ForEachFigure(*host.stats, [&](std::string_view name, bool gauge, uint64_t value) {
    api::SimpleMetric& metric = *status.add_stats();
    metric.set_name(std::string(name));
    metric.set_type(gauge ? api::SimpleMetric::GAUGE : api::SimpleMetric::COUNTER);
    metric.set_value(value);
  });
  const HostHealth& health = host.stats->health;
  api::HostHealthStatus& flags = *status.mutable_health_status();
  flags.set_eds_health_status(ToProto(settings.configured_health));
  flags.set_failed_active_health_check(health.Has(HostHealth::kFailedActiveHc));
  flags.set_failed_outlier_check(health.Has(HostHealth::kFailedOutlierCheck));
  flags.set_failed_active_degraded_check(health.Has(HostHealth::kDegradedActiveHc));
  flags.set_pending_dynamic_removal(health.Has(HostHealth::kPendingDynamicRemoval));
  flags.set_pending_active_hc(health.Has(HostHealth::kPendingActiveHc));
  flags.set_excluded_via_immediate_hc_fail(health.Has(HostHealth::kExcludedViaImmediateHcFail));
  flags.set_active_hc_timeout(health.Has(HostHealth::kActiveHcTimeout));
  // A percentage that was not computed is left out.
  const auto [rate, local_rate] =
      std::pair(health.ejection.success_rate, health.ejection.local_success_rate);
  if (rate >= 0) status.mutable_success_rate()->set_value(rate);
  if (local_rate >= 0) status.mutable_local_origin_success_rate()->set_value(local_rate);
  status.set_priority(settings.priority);
  status.set_weight(settings.weight);
  status.set_hostname(host.hostname);
  status.mutable_locality()->set_region(settings.region);
  status.mutable_locality()->set_zone(settings.zone);
  status.mutable_locality()->set_sub_zone(settings.sub_zone);
}

api::Clusters Message(const std::vector<ClusterView>& clusters) {
  api::Clusters message;
  for (const ClusterView& cluster : clusters) {
    api::ClusterStatus& status = *message.add_cluster_statuses();
    status.set_name(cluster.config->name());
    status.set_observability_name(ObservabilityName(*cluster.config));
    if (cluster.rates.has_value() && cluster.rates->threshold >= 0)
      status.mutable_success_rate_ejection_threshold()->set_value(cluster.rates->threshold);
    if (cluster.local_rates.has_value() && cluster.local_rates->threshold >= 0) {
      status.mutable_local_origin_success_rate_ejection_threshold()->set_value(
          cluster.local_rates->threshold);
    }
    AddThresholds(cluster.default_thresholds, core::DEFAULT, status);
    AddThresholds(cluster.high_thresholds, core::HIGH, status);
    for (const Cluster::HostView& host : cluster.hosts) AddHost(host, status);
  }
  return message;
}

}  // namespace

AdminReply ClustersPage(const AdminRequest& request, const AdminContext& context) {
  std::vector<ClusterView> clusters = context.clusters();
  if (request.Has("filter")) {
    const auto names = CompileRegex(request.Get("filter"));
    if (!names.ok()) return {400, "Invalid re2 regex"};
    std::erase_if(clusters, [&](const ClusterView& cluster) {
      return !RE2::PartialMatch(cluster.config->name(), **names);
    });
  }
  if (request.Get("format") == "json") return JsonReply(Message(clusters));
  return {200, Text(clusters)};
}

}  // namespace sluice::admin
