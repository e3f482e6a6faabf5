// DnsCacheOptions: envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig in plain values,
// with its defaults, and what sluice.dns.v1.DnsCaches adds. Values, any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "source/base/clock.h"
#include "source/net/address_range.h"
#include "source/net/resolver.h"
#include "source/upstream/dns/dns_backoff.h"
#include "source/upstream/dns/dns_store.h"

namespace sluice {

/// What may change while the cache runs (dns_runtime.h).
struct DnsCacheSettings {
  Duration refresh_rate =
      std::chrono::seconds(60);  // while a name has no records; and after failures by default
  Duration min_refresh_rate = std::chrono::seconds(5);  // floor under the DNS TTL
  Duration host_ttl = std::chrono::minutes(5);          // an unused host is removed after this time
  Duration query_timeout = std::chrono::seconds(5);     // zero: none but the resolver's
  BackoffOptions failure_refresh;                       // zero base: `refresh_rate`, fixed
  uint32_t max_hosts = 1024;
  uint32_t max_pending_requests = 1024;
  /// Of each host name, whatever its ports and clusters are; 0: no limit.
  struct PerHost {
    uint32_t max_connections = 0;
    uint32_t max_pending_requests = 0;
    uint32_t max_requests = 0;
  };
  std::optional<PerHost> per_host;
};

struct DnsCacheOptions : DnsCacheSettings {
  std::string name;
  LookupFamily family = LookupFamily::kAuto;
  bool disable_refresh_on_failure = false;  // a failed host without an address is forgotten at once
  AddressMatcher address_filter;            // addresses that match are dropped from every answer
  struct HostPort {
    std::string host;
    uint16_t port = 0;
  };
  std::vector<HostPort> preresolve;
  std::optional<DnsStore::Options> store;  // where addresses outlive the process

  // What Envoy has no field for.
  enum class AddressPolicy : uint8_t { kInOrder, kRoundRobin };
  bool evict_when_full = false;  // the hosts that were not used for longest make room
  AddressPolicy address_policy = AddressPolicy::kInOrder;
  uint32_t max_host_stats = 0;  // so many host names have statistics of their own
};

}  // namespace sluice
