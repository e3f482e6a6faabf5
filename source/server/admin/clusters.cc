// /clusters: every cluster with its limits and hosts. Main thread.
#include "api/envoy/admin/v3/clusters.pb.h"
#include "source/base/strings.h"
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
  AppendTo(out, prefix, "health_flags::", settings.healthy ? "healthy" : "/failed_eds_health",
           "\n");
  AppendTo(out, prefix, "weight::", settings.weight, "\n");
  AppendTo(out, prefix, "region::", settings.region, "\n");
  AppendTo(out, prefix, "zone::", settings.zone, "\n");
  AppendTo(out, prefix, "sub_zone::", settings.sub_zone, "\n");
  AppendTo(out, prefix, "canary::false\n", prefix, "priority::0\n");
  // There is no outlier detection to compute a rate.
  AppendTo(out, prefix, "success_rate::-1\n", prefix, "local_origin_success_rate::-1\n");
}

std::string Text(const std::vector<ClusterView>& clusters) {
  std::string out;
  for (const ClusterView& cluster : clusters) {
    const std::string& name = cluster.config->name();
    AppendTo(&out, name, "::observability_name::", name, "\n");
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
  message.set_track_remaining(thresholds.track_remaining);
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
  status.mutable_health_status()->set_eds_health_status(settings.healthy ? core::HEALTHY
                                                                         : core::UNHEALTHY);
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
    status.set_observability_name(cluster.config->name());
    AddThresholds(cluster.default_thresholds, core::DEFAULT, status);
    AddThresholds(cluster.high_thresholds, core::HIGH, status);
    for (const Cluster::HostView& host : cluster.hosts) AddHost(host, status);
  }
  return message;
}

}  // namespace

AdminReply ClustersPage(const AdminRequest& request, const AdminContext& context) {
  const std::vector<ClusterView> clusters = context.clusters();
  if (request.Get("format") == "json") return JsonReply(Message(clusters));
  return {200, Text(clusters)};
}

}  // namespace sluice::admin
