// From Envoy's DNS messages to the plain options of our classes. Pure functions; the validation
// rules of the messages have been checked by the loader, what only this code can know is checked
// here.
#pragma once

#include "absl/status/statusor.h"
#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "api/envoy/config/core/v3/extension.pb.h"
#include "api/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.pb.h"
#include "api/envoy/type/matcher/v3/address.pb.h"
#include "source/net/cares_resolver.h"
#include "source/upstream/dns/dns_cache.h"
#include "source/upstream/dns/dns_tracker.h"

namespace sluice {

/// A protobuf duration, cut to 100 years on both sides.
Duration DurationOf(const google::protobuf::Duration& duration);

LookupFamily LookupFamilyOf(envoy::config::cluster::v3::Cluster::DnsLookupFamily family);

BackoffOptions BackoffOf(const envoy::config::cluster::v3::Cluster::RefreshRate& rate);

/// InvalidArgument for a type other than CaresDnsResolverConfig, and for a resolver that is no IP
/// address.
absl::StatusOr<CaresOptions> CaresOptionsOf(
    const envoy::config::core::v3::TypedExtensionConfig& config);

/// InvalidArgument for a bad range.
absl::StatusOr<AddressMatcher> AddressMatcherOf(
    const envoy::type::matcher::v3::AddressMatcher& config);

/// InvalidArgument for more or worse preresolve_hostnames than fit, a bad filter, a failure
/// back-off whose maximum is below its base.
absl::StatusOr<DnsCacheOptions> DnsCacheOptionsOf(
    const envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig& config);

/// How a STRICT_DNS or LOGICAL_DNS cluster looks one of its names up.
DnsTrackerOptions DnsTrackerOptionsOf(const envoy::config::cluster::v3::Cluster& cluster,
                                      std::string name);

}  // namespace sluice
