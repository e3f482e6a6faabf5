// See cluster_factory.h.
#include "source/server/cluster_factory.h"

#include "api/envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "api/envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "api/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "api/envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "source/config/durations.h"
#include "source/upstream/dns_cache_manager.h"
#include "source/upstream/dns_config.h"
#include "source/upstream/endpoint_cluster.h"
#include "source/upstream/original_dst_cluster.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::cluster::v3;
using config::ToDuration;
constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

void ApplyHttpOptions(const envoy::extensions::upstreams::http::v3::HttpProtocolOptions& options,
                      ClusterFactoryContext& context) {
  const auto& common = options.common_http_protocol_options();
  ClusterSettings& settings = context.settings;
  if (common.has_idle_timeout()) settings.idle_timeout = ToDuration(common.idle_timeout());
  if (common.has_max_connection_duration())
    settings.max_connection_duration = ToDuration(common.max_connection_duration());
  if (common.has_max_stream_duration()) {
    context.Error(
        config::EntryPath("typed_extension_protocol_options", kHttpOptions) +
            ".common_http_protocol_options.max_stream_duration",
        "is not supported on clusters yet: set it on the route or the connection manager");
  }
  if (common.has_max_headers_count())
    settings.max_response_headers = common.max_headers_count().value();
  if (common.has_max_requests_per_connection())
    settings.max_requests_per_connection = common.max_requests_per_connection().value();
  const auto& upstream = options.upstream_http_protocol_options();
  context.auto_sni_and_san = upstream.auto_sni() && upstream.auto_san_validation();
}

void ReadSettings(ClusterFactoryContext& context) {
  const v3::Cluster& config = context.config;
  ClusterSettings& settings = context.settings;
  settings.name = config.name();
  if (config.has_connect_timeout()) settings.connect_timeout = ToDuration(config.connect_timeout());
  if (config.has_per_connection_buffer_limit_bytes())
    settings.buffer_limit = std::max(config.per_connection_buffer_limit_bytes().value(), 1024u);
  if (config.upstream_connection_options().has_tcp_keepalive()) {
    const auto& keep_alive = config.upstream_connection_options().tcp_keepalive();
    DialOptions::KeepAlive& options = settings.dial.keep_alive.emplace();
    if (keep_alive.has_keepalive_probes())
      options.probes = static_cast<int>(keep_alive.keepalive_probes().value());
    if (keep_alive.has_keepalive_time())
      options.idle_seconds = static_cast<int>(keep_alive.keepalive_time().value());
    if (keep_alive.has_keepalive_interval())
      options.interval_seconds = static_cast<int>(keep_alive.keepalive_interval().value());
  }
  for (const auto& [name, any] : config.typed_extension_protocol_options()) {
    const std::string field = config::EntryPath("typed_extension_protocol_options", name);
    envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
    if (name != kHttpOptions || !any.UnpackTo(&options)) {
      context.Error(field,
                    "only envoy.extensions.upstreams.http.v3.HttpProtocolOptions is supported");
      continue;
    }
    ApplyHttpOptions(options, context);
  }
}

// The balancer: of a load_balancing_policy list the first that is known, else that of lb_policy.
std::unique_ptr<const Balancer> BuildBalancer(ClusterFactoryContext& context) {
  const v3::Cluster& config = context.config;
  for (int i = 0; i < config.load_balancing_policy().policies_size(); ++i) {
    const auto& policy = config.load_balancing_policy().policies(i).typed_extension_config();
    const auto* entry =
        context.server.registry.balancers().Find(policy.name(), policy.typed_config().type_url());
    if (entry == nullptr) continue;
    FactoryContext inner{context.server,
                         Cat(context.path, ".load_balancing_policy.policies[", i,
                             "].typed_extension_config.typed_config"),
                         context.scope};
    auto balancer = entry->create(policy.typed_config(), inner);
    if (balancer.ok()) return *std::move(balancer);
    inner.Error("", Std(balancer.status().message()));
    return nullptr;
  }
  if (config.has_load_balancing_policy()) {
    context.Error("load_balancing_policy",
                  "none of the policies is supported: use round_robin, least_request or random");
    return nullptr;
  }
  switch (config.lb_policy()) {
    case v3::Cluster::LEAST_REQUEST:
      return LeastRequest(2);
    case v3::Cluster::RANDOM:
      return RandomChoice();
    case v3::Cluster::CLUSTER_PROVIDED:
      context.Error("lb_policy", "CLUSTER_PROVIDED goes with a cluster_type only");
      return nullptr;
    default:
      return RoundRobin();
  }
}

struct ConfiguredHost {
  Endpoint::Settings settings;
  const envoy::config::core::v3::SocketAddress* socket =
      nullptr;  // null: a Unix socket, which is in settings.addresses
  std::string path;
};

std::vector<ConfiguredHost> ReadHosts(ClusterFactoryContext& context) {
  std::vector<ConfiguredHost> hosts;
  const auto& assignment = context.config.load_assignment();
  for (int i = 0; i < assignment.endpoints_size(); ++i) {
    const auto& locality = assignment.endpoints(i);
    for (int k = 0; k < locality.lb_endpoints_size(); ++k) {
      const auto& endpoint = locality.lb_endpoints(k);
      ConfiguredHost host;
      host.path = Cat(context.path, ".load_assignment.endpoints[", i, "].lb_endpoints[", k,
                      "].endpoint.address");
      host.settings.hostname = endpoint.endpoint().hostname();
      if (endpoint.has_load_balancing_weight())
        host.settings.weight = endpoint.load_balancing_weight().value();
      host.settings.region = locality.locality().region();
      host.settings.zone = locality.locality().zone();
      host.settings.sub_zone = locality.locality().sub_zone();
      using Health = envoy::config::core::v3::HealthStatus;
      const Health health = endpoint.health_status();
      host.settings.healthy =
          health == Health::UNKNOWN || health == Health::HEALTHY || health == Health::DEGRADED;
      if (endpoint.endpoint().address().socket_address().protocol() !=
          envoy::config::core::v3::SocketAddress::TCP) {
        context.server.diagnostics.Error(host.path, "only TCP is supported here");
        continue;
      }
      if (endpoint.endpoint().address().has_pipe()) {
        auto address = AddressOf(endpoint.endpoint().address());
        if (address.ok()) host.settings.addresses = {*address};
        if (!address.ok())
          context.server.diagnostics.Error(host.path, Std(address.status().message()));
      } else {
        host.socket = &endpoint.endpoint().address().socket_address();
      }
      hosts.push_back(std::move(host));
    }
  }
  return hosts;
}

ClusterPtr BuildStatic(ClusterFactoryContext& context, std::unique_ptr<const Balancer> balancer) {
  auto cluster = std::make_shared<EndpointCluster>(context.settings, context.config, context.scope,
                                                   context.server.dialer, context.server.workers,
                                                   std::move(balancer));
  std::vector<Endpoint::Settings> settings;
  for (ConfiguredHost& host : ReadHosts(context)) {
    if (host.socket != nullptr) {
      auto address =
          Address::Ip(host.socket->address(), static_cast<uint16_t>(host.socket->port_value()));
      if (!address.ok()) {
        context.server.diagnostics.Error(host.path + ".socket_address.address",
                                         Cat("malformed IP address: ", host.socket->address(),
                                             ". Consider setting resolver_name or setting cluster "
                                             "type to 'STRICT_DNS' or 'LOGICAL_DNS'"));
        continue;
      }
      host.settings.addresses = {*address};
    }
    if (!host.settings.addresses.empty()) settings.push_back(std::move(host.settings));
  }
  cluster->Update(std::move(settings));
  return cluster;
}

ClusterPtr BuildDns(ClusterFactoryContext& context, std::unique_ptr<const Balancer> balancer) {
  const bool logical = context.config.type() == v3::Cluster::LOGICAL_DNS;
  const auto* resolver_config = context.config.has_typed_dns_resolver_config()
                                    ? &context.config.typed_dns_resolver_config()
                                    : nullptr;
  auto resolver = context.server.dns_caches.GetResolver(resolver_config);
  if (!resolver.ok()) {
    context.Error("typed_dns_resolver_config", Std(resolver.status().message()));
    return nullptr;
  }
  std::vector<DnsCluster::Name> names;
  for (ConfiguredHost& host : ReadHosts(context)) {
    if (host.socket == nullptr) {
      context.server.diagnostics.Error(host.path, "a DNS cluster needs a socket_address");
      continue;
    }
    DnsCluster::Name name{DnsTrackerOptionsOf(context.config, host.socket->address()),
                          std::move(host.settings),
                          static_cast<uint16_t>(host.socket->port_value())};
    if (name.host.hostname.empty()) name.host.hostname = host.socket->address();
    names.push_back(std::move(name));
  }
  if (logical && names.size() != 1) {
    context.Error(
        "load_assignment",
        "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint");
    return nullptr;
  }
  return std::make_shared<DnsCluster>(context.settings, context.config, context.scope,
                                      context.server.dialer, context.server.workers,
                                      std::move(balancer), std::move(names), logical, **resolver,
                                      context.server.main);
}

ClusterPtr BuildOriginalDst(ClusterFactoryContext& context) {
  const v3::Cluster& config = context.config;
  if (config.lb_policy() != v3::Cluster::CLUSTER_PROVIDED)
    context.Error("lb_policy", "a cluster of type ORIGINAL_DST needs lb_policy: CLUSTER_PROVIDED");
  if (config.has_load_assignment())
    context.Error("load_assignment", "a cluster of type ORIGINAL_DST has no endpoints of its own");
  OriginalDstCluster::Destination destination;
  const auto& lb = config.original_dst_lb_config();
  if (lb.use_http_header())
    destination.header = lb.http_header_name().empty() ? "x-envoy-original-dst-host"
                                                       : ToLower(lb.http_header_name());
  destination.port_override = static_cast<uint16_t>(lb.upstream_port_override().value());
  if (config.has_cleanup_interval())
    destination.cleanup_interval = ToDuration(config.cleanup_interval());
  return std::make_shared<OriginalDstCluster>(context.settings, config, context.scope,
                                              context.server.dialer, context.server.workers,
                                              std::move(destination), context.server.egress);
}

ClusterPtr BuildExtension(ClusterFactoryContext& context) {
  const auto& type = context.config.cluster_type();
  const auto* entry =
      context.server.registry.clusters().Find(type.name(), type.typed_config().type_url());
  if (entry == nullptr) {
    context.Error("cluster_type", Cat("Didn't find a registered implementation for '", type.name(),
                                      "' with type URL: '", type.typed_config().type_url(), "'"));
    return nullptr;
  }
  auto cluster = entry->create(type.typed_config(), context);
  if (cluster.ok()) return *std::move(cluster);
  context.Error("cluster_type.typed_config", Std(cluster.status().message()));
  return nullptr;
}

}  // namespace

absl::StatusOr<Address> AddressOf(const envoy::config::core::v3::Address& config) {
  if (config.has_pipe()) return Address::Unix(config.pipe().path());
  if (config.socket_address().protocol() != envoy::config::core::v3::SocketAddress::TCP)
    return Invalid("only TCP is supported here");
  return Address::Ip(config.socket_address().address(),
                     static_cast<uint16_t>(config.socket_address().port_value()));
}

ClusterPtr BuildCluster(const v3::Cluster& config, const std::string& path, ServerContext& server) {
  const std::string& label =
      config.alt_stat_name().empty() ? config.name() : config.alt_stat_name();
  ClusterFactoryContext context{
      {server, path, server.stats.Root().Sub("cluster").Sub(label, stats::tag::kClusterName)},
      {},
      config};
  ReadSettings(context);
  if (config.has_cluster_type()) return BuildExtension(context);
  if (config.type() == v3::Cluster::ORIGINAL_DST) return BuildOriginalDst(context);
  if (config.has_original_dst_lb_config())
    context.Error("original_dst_lb_config", "goes with type: ORIGINAL_DST");
  std::unique_ptr<const Balancer> balancer = BuildBalancer(context);
  if (balancer == nullptr) return nullptr;
  return config.type() == v3::Cluster::STATIC ? BuildStatic(context, std::move(balancer))
                                              : BuildDns(context, std::move(balancer));
}

void RegisterBalancers(Registry& registry) {
  namespace lb = envoy::extensions::load_balancing_policies;
  using Result = absl::StatusOr<std::unique_ptr<const Balancer>>;
  registry.AddBalancer<lb::round_robin::v3::RoundRobin>(
      "envoy.load_balancing_policies.round_robin",
      [](const auto&, FactoryContext&) -> Result { return RoundRobin(); });
  registry.AddBalancer<lb::random::v3::Random>(
      "envoy.load_balancing_policies.random",
      [](const auto&, FactoryContext&) -> Result { return RandomChoice(); });
  registry.AddBalancer<lb::least_request::v3::LeastRequest>(
      "envoy.load_balancing_policies.least_request",
      [](const auto& config, FactoryContext&) -> Result {
        return LeastRequest(config.has_choice_count() ? config.choice_count().value() : 2);
      });
}

}  // namespace sluice
