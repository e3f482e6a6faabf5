// See cluster_factory.h.
#include "source/server/clusters/cluster_factory.h"

#include "api/envoy/extensions/clusters/dns/v3/dns_cluster.pb.h"
#include "api/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "api/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "api/envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "source/config/address.h"
#include "source/config/durations.h"
#include "source/server/clusters/circuit_breakers.h"
#include "source/server/clusters/health_check.h"
#include "source/server/clusters/load_balancing.h"
#include "source/upstream/dns/dns_cache_manager.h"
#include "source/upstream/dns/dns_config.h"
#include "source/upstream/endpoint_cluster.h"
#include "source/upstream/original_dst_cluster.h"
#include "source/upstream/transport.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::cluster::v3;
using config::ToDuration;
constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

void ReadCommonOptions(const envoy::config::core::v3::HttpProtocolOptions& common,
                       const std::string& field, ClusterFactoryContext& context) {
  ClusterSettings& settings = context.settings;
  if (common.has_idle_timeout()) settings.idle_timeout = ToDuration(common.idle_timeout());
  if (common.has_max_connection_duration())
    settings.max_connection_duration = ToDuration(common.max_connection_duration());
  if (common.has_max_stream_duration())
    settings.max_stream_duration = ToDuration(common.max_stream_duration());
  if (common.has_max_headers_count())
    settings.max_response_headers = common.max_headers_count().value();
  if (common.has_max_response_headers_kb())
    settings.max_response_headers_bytes = common.max_response_headers_kb().value() * 1024;
  if (common.has_max_requests_per_connection())
    settings.max_requests_per_connection = common.max_requests_per_connection().value();
}

void ApplyHttpOptions(const envoy::extensions::upstreams::http::v3::HttpProtocolOptions& options,
                      ClusterFactoryContext& context) {
  ReadCommonOptions(options.common_http_protocol_options(),
                    config::EntryPath("typed_extension_protocol_options", kHttpOptions) +
                        ".common_http_protocol_options",
                    context);
  const auto& http1 = options.has_explicit_http_config()
                          ? options.explicit_http_config().http_protocol_options()
                          : options.use_downstream_protocol_config().http_protocol_options();
  context.settings.enable_trailers = http1.enable_trailers();
  const auto& upstream = options.upstream_http_protocol_options();
  context.auto_sni_and_san = upstream.auto_sni() && upstream.auto_san_validation();
}

void ReadSources(ClusterFactoryContext& context) {
  const Counter errors = context.scope.counter("bind_errors");
  const bool own = context.config.has_upstream_bind_config();
  if (!own && context.server.bind == nullptr) return;
  const auto& config = own ? context.config.upstream_bind_config() : *context.server.bind;
  const std::string path = Cat(own ? context.path : "cluster_manager", ".upstream_bind_config.");
  auto sources = std::make_shared<DialOptions::Sources>();
  sources->free_bind = config.freebind().value();
  sources->errors = errors;
  const auto add = [&](const envoy::config::core::v3::SocketAddress& address,
                       const std::string& field) {
    auto made = Address::Ip(address.address(), static_cast<uint16_t>(address.port_value()));
    if (!made.ok())
      return context.server.diagnostics.Error(path + field, Std(made.status().message()));
    for (const Address& other : sources->addresses) {
      if (other.family() == made->family())
        return context.server.diagnostics.Error(path + field, "one of this IP version is there");
    }
    sources->addresses.push_back(*made);
  };
  if (config.has_source_address()) add(config.source_address(), "source_address");
  for (int i = 0; i < config.extra_source_addresses_size(); ++i)
    add(config.extra_source_addresses(i).address(), Cat("extra_source_addresses[", i, "]"));
  for (int i = 0; i < config.additional_source_addresses_size(); ++i)
    add(config.additional_source_addresses(i), Cat("additional_source_addresses[", i, "]"));
  context.settings.dial.sources = std::move(sources);
}

void ReadAddressOrder(ClusterFactoryContext& context) {
  const auto& config = context.config.upstream_connection_options().happy_eyeballs_config();
  AddressOrder& order = context.settings.address_order;
  if (config.first_address_family_version() == v3::UpstreamConnectionOptions::V4)
    order.first_family = AF_INET;
  if (config.first_address_family_version() == v3::UpstreamConnectionOptions::V6)
    order.first_family = AF_INET6;
  if (config.has_first_address_family_count())
    order.first_count = config.first_address_family_count().value();
}

void CheckOutlierDetection(ClusterFactoryContext& context) {
  const auto& config = context.config.outlier_detection();
  const Duration base = config.has_base_ejection_time() ? ToDuration(config.base_ejection_time())
                                                        : std::chrono::seconds(30);
  if (config.has_max_ejection_time() && ToDuration(config.max_ejection_time()) < base)
    context.Error("outlier_detection.max_ejection_time", "is shorter than base_ejection_time");
}

void CheckSubsets(ClusterFactoryContext& context) {
  const v3::Cluster& config = context.config;
  if (config.lb_subset_config().subset_selectors().empty()) return;
  if (config.has_load_balancing_policy() || config.lb_policy() == v3::Cluster::CLUSTER_PROVIDED ||
      config.lb_policy() == v3::Cluster::LOAD_BALANCING_POLICY_CONFIG) {
    context.Error("lb_subset_config",
                  "cannot be combined with load_balancing_policy and lb_policy CLUSTER_PROVIDED");
  }
  const auto settings = SubsetSettings::Build(config.lb_subset_config());
  if (!settings.ok()) context.Error("lb_subset_config", Std(settings.status().message()));
}

void ReadSettings(ClusterFactoryContext& context) {
  const v3::Cluster& config = context.config;
  ClusterSettings& settings = context.settings;
  settings.name = config.name();
  settings.main = &context.server.main;
  settings.runtime = context.server.runtime;
  settings.zone = context.server.service_zone;
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
  if (config.preconnect_policy().has_per_upstream_preconnect_ratio())
    settings.preconnect_ratio = config.preconnect_policy().per_upstream_preconnect_ratio().value();
  if (config.preconnect_policy().has_predictive_preconnect_ratio()) {
    settings.predictive_preconnect_ratio =
        config.preconnect_policy().predictive_preconnect_ratio().value();
  }
  settings.pool_per_downstream = config.connection_pool_per_downstream_connection();
  if (settings.pool_per_downstream &&
      (settings.preconnect_ratio > 1 || settings.predictive_preconnect_ratio > 1)) {
    context.Error("preconnect_policy",
                  "does not go with connection_pool_per_downstream_connection yet");
  }
  CheckOutlierDetection(context);
  CheckSubsets(context);
  ReadCircuitBreakers(context);
  ReadSources(context);
  ReadAddressOrder(context);
  ReadCommonOptions(config.common_http_protocol_options(), "common_http_protocol_options", context);
  settings.enable_trailers = config.http_protocol_options().enable_trailers();
  if (config.has_max_requests_per_connection())
    settings.max_requests_per_connection = config.max_requests_per_connection().value();
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

bool IsRawBuffer(const envoy::config::core::v3::TransportSocket& socket) {
  return socket.has_typed_config()
             ? socket.typed_config()
                   .Is<envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer>()
             : socket.name() == "envoy.transport_sockets.raw_buffer";
}

void ReadTransportSocket(ClusterFactoryContext& context) {
  if (!context.config.has_transport_socket()) return;
  const auto& outer = context.config.transport_socket();
  if (IsRawBuffer(outer)) return;
  envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport proxy;
  if (!outer.typed_config().UnpackTo(&proxy)) {
    return context.Error("transport_socket",
                         config::NotRegistered(outer.name(), outer.typed_config().type_url()));
  }
  if (!IsRawBuffer(proxy.transport_socket())) {
    return context.Error("transport_socket.typed_config.transport_socket",
                         "only envoy.transport_sockets.raw_buffer is supported here");
  }
  auto transport = std::make_shared<UpstreamTransport>();
  using Version = envoy::config::core::v3::ProxyProtocolConfig;
  transport->proxy_version = proxy.config().version() == Version::V2 ? 2 : 1;
  context.settings.transport = std::move(transport);
}

struct ConfiguredHost {
  Endpoint::Settings settings;
  const envoy::config::core::v3::SocketAddress* socket =
      nullptr;  // null: a Unix socket, which is in settings.addresses
  std::vector<Address> additional;
  std::string path;
};

ConfiguredHealth ConfiguredHealthOf(envoy::config::core::v3::HealthStatus status) {
  using Status = envoy::config::core::v3::HealthStatus;
  switch (status) {
    case Status::UNHEALTHY:
    case Status::TIMEOUT:
      return ConfiguredHealth::kUnhealthy;
    case Status::DRAINING:
      return ConfiguredHealth::kDraining;
    case Status::DEGRADED:
      return ConfiguredHealth::kDegraded;
    default:
      return ConfiguredHealth::kHealthy;
  }
}

// The metadata, and what it says of balancing (envoy.lb); `hash_key` is the endpoint's name on a
// ring.
void ReadMetadata(const envoy::config::core::v3::Metadata& metadata, Endpoint::Settings& settings) {
  if (!metadata.filter_metadata().empty())
    settings.all_metadata = std::make_shared<const envoy::config::core::v3::Metadata>(metadata);
  const auto lb = metadata.filter_metadata().find("envoy.lb");
  if (lb == metadata.filter_metadata().end()) return;
  settings.metadata = std::make_shared<google::protobuf::Struct>(lb->second);
  const auto& fields = lb->second.fields();
  if (const auto key = fields.find("hash_key"); key != fields.end())
    settings.hash_key = key->second.string_value();
  if (const auto canary = fields.find("canary"); canary != fields.end())
    settings.canary = canary->second.bool_value();
}

void ReadHealthCheck(const envoy::config::endpoint::v3::Endpoint::HealthCheckConfig& config,
                     ConfiguredHost& host, ClusterFactoryContext& context) {
  Endpoint::Settings::HealthCheck& check = host.settings.health_check;
  check.disabled = config.disable_active_health_check();
  check.port = static_cast<uint16_t>(config.port_value());
  check.hostname = config.hostname();
  if (!config.has_address()) return;
  auto address = config::AddressOf(config.address());
  if (address.ok()) check.address = *address;
  if (!address.ok())
    context.server.diagnostics.Error(host.path + " (health_check_config.address)",
                                     Std(address.status().message()));
}

void ReadAdditional(const envoy::config::endpoint::v3::Endpoint& config, ConfiguredHost& host,
                    ClusterFactoryContext& context) {
  const bool is_static =
      !context.config.has_cluster_type() && context.config.type() == v3::Cluster::STATIC;
  for (const auto& additional : config.additional_addresses()) {
    auto address = config::AddressOf(additional.address());
    if (address.ok() && is_static) {
      host.additional.push_back(*address);
      continue;
    }
    context.server.diagnostics.Error(
        host.path + " (additional_addresses)",
        is_static ? Std(address.status().message()) : "go with STATIC clusters only");
  }
}

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
      host.settings.priority = locality.priority();
      host.settings.locality_weight = locality.load_balancing_weight().value();
      host.settings.configured_health = ConfiguredHealthOf(endpoint.health_status());
      ReadMetadata(endpoint.metadata(), host.settings);
      ReadHealthCheck(endpoint.endpoint().health_check_config(), host, context);
      if (endpoint.endpoint().address().socket_address().protocol() !=
          envoy::config::core::v3::SocketAddress::TCP) {
        context.server.diagnostics.Error(host.path, "only TCP is supported here");
        continue;
      }
      if (endpoint.endpoint().address().has_pipe()) {
        auto address = config::AddressOf(endpoint.endpoint().address());
        if (address.ok()) host.settings.addresses = {*address};
        if (!address.ok())
          context.server.diagnostics.Error(host.path, Std(address.status().message()));
      } else {
        host.socket = &endpoint.endpoint().address().socket_address();
      }
      ReadAdditional(endpoint.endpoint(), host, context);
      hosts.push_back(std::move(host));
    }
  }
  return hosts;
}

ClusterPtr BuildStatic(ClusterFactoryContext& context, std::unique_ptr<const Balancer> balancer) {
  auto cluster = std::make_shared<EndpointCluster>(context.settings, context.config, context.scope,
                                                   context.server.dialer, context.server.workers,
                                                   std::move(balancer));
  if (auto check = BuildHealthCheck(context)) cluster->CheckHealth(std::move(check));
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
    if (host.settings.addresses.empty()) continue;
    for (const Address& address : host.additional) host.settings.addresses.push_back(address);
    settings.push_back(std::move(host.settings));
  }
  cluster->Update(std::move(settings));
  return cluster;
}

// How a DNS cluster looks its names up. `resolver`: null for the process's own.
struct Lookup {
  std::function<DnsTrackerOptions(std::string name)> options;
  const envoy::config::core::v3::TypedExtensionConfig* resolver = nullptr;
  bool logical = false;
};

ClusterPtr BuildDns(ClusterFactoryContext& context, const Lookup& lookup,
                    std::unique_ptr<const Balancer> balancer) {
  const bool logical = lookup.logical;
  const auto* resolver_config = lookup.resolver;
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
    DnsCluster::Name name{lookup.options(host.socket->address()), std::move(host.settings),
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
  auto cluster = std::make_shared<DnsCluster>(context.settings, context.config, context.scope,
                                              context.server.dialer, context.server.workers,
                                              std::move(balancer), std::move(names), logical,
                                              **resolver, context.server.main);
  if (auto check = BuildHealthCheck(context)) cluster->CheckHealth(std::move(check));
  return cluster;
}

ClusterPtr BuildDnsOfType(ClusterFactoryContext& context,
                          std::unique_ptr<const Balancer> balancer) {
  const v3::Cluster& config = context.config;
  Lookup lookup;
  lookup.options = [&config](std::string name) {
    return DnsTrackerOptionsOf(config, std::move(name));
  };
  if (config.has_typed_dns_resolver_config()) lookup.resolver = &config.typed_dns_resolver_config();
  lookup.logical = config.type() == v3::Cluster::LOGICAL_DNS;
  return BuildDns(context, lookup, std::move(balancer));
}

using DnsProto = envoy::extensions::clusters::dns::v3::DnsCluster;

// The same in the words of the older fields, so that there is one reader of them.
v3::Cluster OlderFields(const DnsProto& config) {
  v3::Cluster older;
  if (config.has_dns_refresh_rate()) *older.mutable_dns_refresh_rate() = config.dns_refresh_rate();
  if (config.has_dns_failure_refresh_rate()) {
    auto& rate = *older.mutable_dns_failure_refresh_rate();
    *rate.mutable_base_interval() = config.dns_failure_refresh_rate().base_interval();
    if (config.dns_failure_refresh_rate().has_max_interval())
      *rate.mutable_max_interval() = config.dns_failure_refresh_rate().max_interval();
  }
  older.set_respect_dns_ttl(config.respect_dns_ttl());
  if (config.has_dns_jitter()) *older.mutable_dns_jitter() = config.dns_jitter();
  // The same names in the same order, behind UNSPECIFIED, which is AUTO.
  older.set_dns_lookup_family(
      static_cast<v3::Cluster::DnsLookupFamily>(std::max(config.dns_lookup_family() - 1, 0)));
  return older;
}

absl::StatusOr<ClusterPtr> BuildDnsExtension(const DnsProto& config,
                                             ClusterFactoryContext& context) {
  std::unique_ptr<const Balancer> balancer = BuildBalancer(context);
  if (balancer == nullptr) return Invalid("has no balancer");
  const v3::Cluster older = OlderFields(config);
  Lookup lookup;
  lookup.options = [&older](std::string name) {
    return DnsTrackerOptionsOf(older, std::move(name));
  };
  if (config.has_typed_dns_resolver_config()) lookup.resolver = &config.typed_dns_resolver_config();
  lookup.logical = config.all_addresses_in_single_endpoint();
  ClusterPtr cluster = BuildDns(context, lookup, std::move(balancer));
  if (cluster == nullptr) return Invalid("cannot be built");
  return cluster;
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

ClusterPtr BuildOfType(ClusterFactoryContext& context) {
  const bool lists_hosts = context.config.cluster_type().name() == "envoy.clusters.dns";
  if (!context.config.health_checks().empty() && !lists_hosts) {
    context.Error(
        "health_checks",
        "go with STATIC, STRICT_DNS and LOGICAL_DNS clusters: the hosts of others are not "
        "known before they are asked for; use outlier_detection");
  }
  const auto& type = context.config.cluster_type();
  const auto* entry =
      context.server.registry.clusters().Find(type.name(), type.typed_config().type_url());
  if (entry == nullptr) {
    context.Error("cluster_type",
                  config::NotRegistered(type.name(), type.typed_config().type_url()));
    return nullptr;
  }
  auto cluster = entry->create(type.typed_config(), context);
  if (cluster.ok()) return *std::move(cluster);
  context.Error("cluster_type.typed_config", Std(cluster.status().message()));
  return nullptr;
}

}  // namespace

ClusterPtr BuildCluster(const v3::Cluster& config, const std::string& path, ServerContext& server) {
  const std::string& label =
      config.alt_stat_name().empty() ? config.name() : config.alt_stat_name();
  ClusterFactoryContext context{
      {server, path, server.stats.Root().Sub("cluster").Sub(label, stats::tag::kClusterName)},
      {},
      config};
  ReadSettings(context);
  ReadTransportSocket(context);
  if (config.has_cluster_type()) return BuildOfType(context);
  if (config.type() == v3::Cluster::ORIGINAL_DST) return BuildOriginalDst(context);
  if (config.has_original_dst_lb_config())
    context.Error("original_dst_lb_config", "goes with type: ORIGINAL_DST");
  std::unique_ptr<const Balancer> balancer = BuildBalancer(context);
  if (balancer == nullptr) return nullptr;
  return config.type() == v3::Cluster::STATIC ? BuildStatic(context, std::move(balancer))
                                              : BuildDnsOfType(context, std::move(balancer));
}

void RegisterDnsCluster(Registry& registry) {
  registry.AddCluster<DnsProto>("envoy.clusters.dns", BuildDnsExtension);
}

}  // namespace sluice
