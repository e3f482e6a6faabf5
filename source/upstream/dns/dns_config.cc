// Conversion of DNS configuration. Pure functions.
#include "source/upstream/dns/dns_config.h"

#include <algorithm>

#include "api/envoy/extensions/key_value/file_based/v3/config.pb.h"
#include "api/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"
#include "source/config/diagnostics.h"

namespace sluice {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
using envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;

constexpr uint64_t kMaxQuerySeconds = 3600;
constexpr uint32_t kMaxTries = 100;

absl::StatusOr<Address> ResolverAddressOf(const envoy::config::core::v3::Address& config) {
  if (!config.has_socket_address()) return Invalid("a DNS resolver must be a socket_address");
  const auto& socket = config.socket_address();
  const absl::StatusOr<Address> address =
      Address::Ip(socket.address(), static_cast<uint16_t>(socket.port_value()));
  if (!address.ok()) return Invalid("malformed IP address: ", socket.address());
  return *address;
}

absl::Status AddStore(const DnsCacheConfig& config, DnsCacheOptions& options) {
  using envoy::extensions::key_value::file_based::v3::FileBasedKeyValueStoreConfig;
  if (!config.has_key_value_config()) return absl::OkStatus();
  const auto& chosen = config.key_value_config().config();
  FileBasedKeyValueStoreConfig file;
  if (!chosen.typed_config().Is<FileBasedKeyValueStoreConfig>() ||
      !chosen.typed_config().UnpackTo(&file)) {
    return Invalid("key_value_config: '", chosen.name(), "' with type URL '",
                   chosen.typed_config().type_url(),
                   "' is not supported: use envoy.key_value.file_based");
  }
  DnsStore::Options& store = options.store.emplace();
  store.filename = file.filename();
  if (file.has_flush_interval()) store.flush_interval = DurationOf(file.flush_interval());
  if (file.has_max_entries()) store.max_entries = file.max_entries().value();
  return absl::OkStatus();
}

absl::Status AddPreresolve(const DnsCacheConfig& config, DnsCacheOptions& options) {
  if (static_cast<uint32_t>(config.preresolve_hostnames_size()) > options.max_hosts) {
    return Invalid("DNS Cache [", config.name(),
                   "] configured with preresolve_hostnames=", config.preresolve_hostnames_size(),
                   " larger than max_hosts=", options.max_hosts);
  }
  for (const auto& host : config.preresolve_hostnames()) {
    const auto port = static_cast<uint16_t>(host.port_value());
    if (!DnsKey::Of(host.address(), port).has_value())
      return Invalid("'", host.address(), "' is no host name");
    options.preresolve.push_back({host.address(), port});
  }
  return absl::OkStatus();
}

}  // namespace

Duration DurationOf(const google::protobuf::Duration& duration) {
  constexpr int64_t kLimit = int64_t{100} * 365 * 24 * 3600;
  return std::chrono::seconds(std::clamp(duration.seconds(), -kLimit, kLimit)) +
         std::chrono::nanoseconds(duration.nanos());
}

LookupFamily LookupFamilyOf(Cluster::DnsLookupFamily family) {
  switch (family) {
    case Cluster::V4_ONLY:
      return LookupFamily::kV4Only;
    case Cluster::V6_ONLY:
      return LookupFamily::kV6Only;
    case Cluster::V4_PREFERRED:
      return LookupFamily::kV4Preferred;
    case Cluster::ALL:
      return LookupFamily::kAll;
    default:
      return LookupFamily::kAuto;
  }
}

BackoffOptions BackoffOf(const Cluster::RefreshRate& rate) {
  return {DurationOf(rate.base_interval()),
          rate.has_max_interval() ? DurationOf(rate.max_interval()) : Duration::zero()};
}

absl::StatusOr<CaresOptions> CaresOptionsOf(
    const envoy::config::core::v3::TypedExtensionConfig& config) {
  CaresDnsResolverConfig cares;
  if (!config.typed_config().Is<CaresDnsResolverConfig>()) {
    return Invalid(config::NotRegistered(config.name(), config.typed_config().type_url()),
                   "; the DNS resolver of Sluice is envoy.network.dns_resolver.cares");
  }
  if (!config.typed_config().UnpackTo(&cares))
    return Invalid("'", config.name(), "' holds no valid CaresDnsResolverConfig");
  CaresOptions options;
  for (const auto& resolver : cares.resolvers()) {
    const absl::StatusOr<Address> address = ResolverAddressOf(resolver);
    if (!address.ok()) return address.status();
    options.resolvers.push_back(*address);
  }
  options.use_resolvers_as_fallback = cares.use_resolvers_as_fallback();
  options.use_tcp = cares.dns_resolver_options().use_tcp_for_dns_lookups();
  options.no_default_search_domain = cares.dns_resolver_options().no_default_search_domain();
  if (cares.has_query_timeout_seconds()) {
    options.query_timeout =
        std::chrono::seconds(std::min(cares.query_timeout_seconds().value(), kMaxQuerySeconds));
  }
  if (cares.has_query_tries())
    options.query_tries = static_cast<int>(std::min(cares.query_tries().value(), kMaxTries));
  return options;
}

absl::StatusOr<AddressMatcher> AddressMatcherOf(
    const envoy::type::matcher::v3::AddressMatcher& config) {
  AddressMatcher matcher;
  for (const auto& range : config.ranges()) {
    const absl::StatusOr<CidrRange> made =
        CidrRange::Make(range.address_prefix(), range.prefix_len().value());
    if (!made.ok()) return made.status();
    matcher.ranges.push_back(*made);
  }
  matcher.invert = config.invert_match();
  return matcher;
}

absl::StatusOr<DnsCacheOptions> DnsCacheOptionsOf(const DnsCacheConfig& config) {
  DnsCacheOptions options;
  options.name = config.name();
  options.family = LookupFamilyOf(config.dns_lookup_family());
  if (config.has_dns_refresh_rate()) options.refresh_rate = DurationOf(config.dns_refresh_rate());
  if (config.has_dns_min_refresh_rate())
    options.min_refresh_rate = DurationOf(config.dns_min_refresh_rate());
  if (config.has_host_ttl()) options.host_ttl = DurationOf(config.host_ttl());
  if (config.has_max_hosts()) options.max_hosts = config.max_hosts().value();
  options.disable_refresh_on_failure = config.disable_dns_refresh_on_failure();
  if (config.has_dns_failure_refresh_rate())
    options.failure_refresh = BackoffOf(config.dns_failure_refresh_rate());
  if (options.failure_refresh.max > Duration::zero() &&
      options.failure_refresh.max < options.failure_refresh.base) {
    return Invalid(
        "dns_failure_refresh_rate must have max_interval greater than or equal to the "
        "base_interval");
  }
  if (config.dns_cache_circuit_breaker().has_max_pending_requests()) {
    options.max_pending_requests =
        config.dns_cache_circuit_breaker().max_pending_requests().value();
  }
  if (config.has_dns_query_timeout())
    options.query_timeout = DurationOf(config.dns_query_timeout());
  const absl::StatusOr<AddressMatcher> filter = AddressMatcherOf(config.resolved_address_filter());
  if (!filter.ok()) return filter.status();
  options.address_filter = *filter;
  if (const absl::Status status = AddStore(config, options); !status.ok()) return status;
  if (const absl::Status status = AddPreresolve(config, options); !status.ok()) return status;
  return options;
}

DnsTrackerOptions DnsTrackerOptionsOf(const Cluster& cluster, std::string name) {
  DnsTrackerOptions options;
  options.name = std::move(name);
  options.family = LookupFamilyOf(cluster.dns_lookup_family());
  if (cluster.has_dns_refresh_rate()) options.refresh_rate = DurationOf(cluster.dns_refresh_rate());
  if (cluster.has_dns_failure_refresh_rate())
    options.failure_refresh = BackoffOf(cluster.dns_failure_refresh_rate());
  options.respect_ttl = cluster.respect_dns_ttl();
  options.jitter = DurationOf(cluster.dns_jitter());
  return options;
}

}  // namespace sluice
