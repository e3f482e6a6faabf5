// Messages of the admin. Pure.
#include "source/server/admin/proto.h"

#include "source/config/proto_json.h"

namespace sluice::admin {
namespace {

namespace endpoint = envoy::config::endpoint::v3;
namespace core = envoy::config::core::v3;

endpoint::LocalityLbEndpoints& GroupOf(const Endpoint::Settings& host,
                                       endpoint::ClusterLoadAssignment& assignment) {
  for (endpoint::LocalityLbEndpoints& group : *assignment.mutable_endpoints()) {
    const core::Locality& locality = group.locality();
    if (locality.region() == host.region && locality.zone() == host.zone &&
        locality.sub_zone() == host.sub_zone && group.priority() == host.priority) {
      return group;
    }
  }
  endpoint::LocalityLbEndpoints& group = *assignment.add_endpoints();
  core::Locality& locality = *group.mutable_locality();
  locality.set_region(host.region);
  locality.set_zone(host.zone);
  locality.set_sub_zone(host.sub_zone);
  group.set_priority(host.priority);
  if (host.locality_weight != 0)
    group.mutable_load_balancing_weight()->set_value(host.locality_weight);
  return group;
}

}  // namespace

AdminReply JsonReply(const google::protobuf::Message& message, bool print_defaults) {
  config::JsonOptions options;
  options.print_defaults = print_defaults;
  return {200, config::ToJson(message, options), kJson};
}

core::Address ToProto(const Address& address) {
  core::Address message;
  if (address.is_ip()) {
    message.mutable_socket_address()->set_address(address.IpString());
    message.mutable_socket_address()->set_port_value(address.port());
  } else if (address.is_set()) {
    message.mutable_pipe()->set_path(address.ToString());
  }
  return message;
}

google::protobuf::Timestamp ToProto(WallTime time) {
  const int64_t milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  google::protobuf::Timestamp message;
  message.set_seconds(milliseconds / 1000);
  message.set_nanos(static_cast<int32_t>(milliseconds % 1000 * 1'000'000));
  return message;
}

core::HealthStatus ToProto(ConfiguredHealth health) {
  switch (health) {
    case ConfiguredHealth::kUnhealthy:
      return core::UNHEALTHY;
    case ConfiguredHealth::kDraining:
      return core::DRAINING;
    case ConfiguredHealth::kDegraded:
      return core::DEGRADED;
    case ConfiguredHealth::kHealthy:
      break;
  }
  return core::HEALTHY;
}

endpoint::ClusterLoadAssignment EndpointsOf(const ClusterView& cluster) {
  endpoint::ClusterLoadAssignment assignment;
  assignment.set_cluster_name(cluster.config->name());
  for (const Cluster::HostView& host : cluster.hosts) {
    endpoint::LbEndpoint& one = *GroupOf(host.settings, assignment).add_lb_endpoints();
    if (!host.settings.addresses.empty())
      *one.mutable_endpoint()->mutable_address() = ToProto(host.settings.addresses.front());
    one.mutable_endpoint()->set_hostname(host.hostname);
    one.set_health_status(ToProto(host.settings.configured_health));
    one.mutable_load_balancing_weight()->set_value(host.settings.weight);
  }
  return assignment;
}

}  // namespace sluice::admin
