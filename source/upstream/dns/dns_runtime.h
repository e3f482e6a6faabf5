// DnsRuntime: the settings of a DNS cache that the runtime may change, below dns_cache.<name>. Main
// thread.
#pragma once

#include <string_view>

#include "source/config/runtime.h"
#include "source/upstream/dns/dns_options.h"

namespace sluice {

class DnsRuntime {
 public:
  /// Keys below dns_cache.<configured.name>: max_hosts, max_pending_requests, dns_refresh_rate_ms,
  /// dns_min_refresh_rate_ms, dns_failure_refresh_rate_ms (the base interval),
  /// dns_query_timeout_ms, host_ttl_ms; and where per_host is configured per_host.max_connections,
  /// per_host.max_pending_requests, per_host.max_requests. `runtime` may be null.
  DnsRuntime(const DnsCacheOptions& configured, config::Runtime* runtime);

  /// What is in force now: as configured where the runtime has no value, or none that the field
  /// would take, of which a warning is logged.
  DnsCacheSettings Read() const;

 private:
  struct Key {
    std::string name;
    config::RuntimeUInt32 value;
  };
  Key Bind(config::Runtime* runtime, std::string_view key) const;
  static std::optional<uint32_t> Get(const Key& key, uint32_t least);
  static void Set(const Key& key, uint32_t least, uint32_t* setting);
  static void Set(const Key& key, uint32_t least, Duration* setting);

  const std::string prefix_;
  const DnsCacheSettings configured_;
  const Key max_hosts_, max_pending_requests_, refresh_rate_, min_refresh_rate_, failure_refresh_,
      query_timeout_, host_ttl_;
  Key host_connections_, host_pending_, host_requests_;
};

}  // namespace sluice
