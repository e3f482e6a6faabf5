// Reading the runtime. See dns_runtime.h for the threads.
#include "source/upstream/dns/dns_runtime.h"

#include <limits>

#include "source/base/log.h"
#include "source/base/strings.h"

namespace sluice {
namespace {

// What a handle gives where no layer has a number.
constexpr uint32_t kUnset = std::numeric_limits<uint32_t>::max();

}  // namespace

DnsRuntime::DnsRuntime(const DnsCacheOptions& configured, config::Runtime* runtime)
    : prefix_(Cat("dns_cache.", configured.name, ".")),
      configured_(configured),
      max_hosts_(Bind(runtime, "max_hosts")),
      max_pending_requests_(Bind(runtime, "max_pending_requests")),
      refresh_rate_(Bind(runtime, "dns_refresh_rate_ms")),
      min_refresh_rate_(Bind(runtime, "dns_min_refresh_rate_ms")),
      failure_refresh_(Bind(runtime, "dns_failure_refresh_rate_ms")),
      query_timeout_(Bind(runtime, "dns_query_timeout_ms")),
      host_ttl_(Bind(runtime, "host_ttl_ms")) {
  if (!configured.per_host.has_value()) return;
  host_connections_ = Bind(runtime, "per_host.max_connections");
  host_pending_ = Bind(runtime, "per_host.max_pending_requests");
  host_requests_ = Bind(runtime, "per_host.max_requests");
}

DnsRuntime::Key DnsRuntime::Bind(config::Runtime* runtime, std::string_view key) const {
  std::string name = Cat(prefix_, key);
  config::RuntimeUInt32 value(runtime, name, kUnset);
  return {std::move(name), std::move(value)};
}

std::optional<uint32_t> DnsRuntime::Get(const Key& key, uint32_t least) {
  const uint32_t value = key.value.Get();
  if (!key.value.follows() || value == kUnset) return std::nullopt;
  if (value >= least) return value;
  SLUICE_LOG(kWarning, kRuntime, key.name, ": ", value, " is passed over: it must be at least ",
             least);
  return std::nullopt;
}

void DnsRuntime::Set(const Key& key, uint32_t least, uint32_t* setting) {
  if (const auto value = Get(key, least)) *setting = *value;
}

void DnsRuntime::Set(const Key& key, uint32_t least, Duration* setting) {
  if (const auto value = Get(key, least)) *setting = std::chrono::milliseconds(*value);
}

DnsCacheSettings DnsRuntime::Read() const {
  DnsCacheSettings now = configured_;
  Set(max_hosts_, 1, &now.max_hosts);
  Set(max_pending_requests_, 0, &now.max_pending_requests);
  Set(refresh_rate_, 1, &now.refresh_rate);
  Set(min_refresh_rate_, 1000, &now.min_refresh_rate);
  Set(failure_refresh_, 2, &now.failure_refresh.base);
  if (now.failure_refresh.max < now.failure_refresh.base) now.failure_refresh.max = {};
  Set(query_timeout_, 0, &now.query_timeout);
  Set(host_ttl_, 1, &now.host_ttl);
  if (now.per_host.has_value()) {
    Set(host_connections_, 0, &now.per_host->max_connections);
    Set(host_pending_, 0, &now.per_host->max_pending_requests);
    Set(host_requests_, 0, &now.per_host->max_requests);
  }
  return now;
}

}  // namespace sluice
