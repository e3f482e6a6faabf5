// /dns_cache: what is known of every name, and how to forget it. Main thread.
#include <algorithm>
#include <cstdio>

#include "source/base/strings.h"
#include "source/observe/format/json_string.h"
#include "source/server/admin/page.h"
#include "source/upstream/dns/dns_cache.h"

namespace sluice::admin {
namespace {

int64_t SecondsOf(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// Name and value of each setting in force.
std::vector<std::pair<std::string_view, int64_t>> SettingsOf(const DnsCache& cache) {
  const DnsCacheSettings& settings = cache.settings();
  const Duration failure = settings.failure_refresh.base > Duration::zero()
                               ? settings.failure_refresh.base
                               : settings.refresh_rate;
  std::vector<std::pair<std::string_view, int64_t>> all = {
      {"max_hosts", settings.max_hosts},
      {"max_pending_requests", settings.max_pending_requests},
      {"dns_refresh_rate_ms", Milliseconds(settings.refresh_rate)},
      {"dns_min_refresh_rate_ms", Milliseconds(settings.min_refresh_rate)},
      {"dns_failure_refresh_rate_ms", Milliseconds(failure)},
      {"dns_query_timeout_ms", Milliseconds(settings.query_timeout)},
      {"host_ttl_ms", Milliseconds(settings.host_ttl)},
  };
  if (!settings.per_host.has_value()) return all;
  all.emplace_back("per_host.max_connections", settings.per_host->max_connections);
  all.emplace_back("per_host.max_pending_requests", settings.per_host->max_pending_requests);
  all.emplace_back("per_host.max_requests", settings.per_host->max_requests);
  return all;
}

// What is counted of the host's name, over all its ports; nothing where that is not wanted.
std::vector<std::pair<std::string_view, int64_t>> UseOf(const DnsCache::HostView& host) {
  if (host.use == nullptr) return {};
  const auto total = [&](HostCount what) { return static_cast<int64_t>(host.use->Total(what)); };
  return {{"rq_total", total(HostCount::kRqTotal)},
          {"rq_active", host.use->InUse(HostResource::kRequests)},
          {"rq_pending", host.use->InUse(HostResource::kPending)},
          {"rq_5xx", total(HostCount::kRq5xx)},
          {"rq_error", total(HostCount::kRqError)},
          {"rq_overflow", total(HostCount::kRqOverflow)},
          {"cx_total", total(HostCount::kCxTotal)},
          {"cx_active", host.use->InUse(HostResource::kConnections)},
          {"cx_connect_fail", total(HostCount::kCxConnectFail)}};
}

std::string_view StateOf(const DnsCache::HostView& host) {
  if (host.host == nullptr) return "resolving";
  return host.host->is_resolved() ? "resolved" : "failed";
}

void AppendText(const std::string& cache, const DnsCache::HostView& host, TimePoint now,
                std::string* out) {
  const std::string prefix = Cat(cache, "::", host.key, "::");
  AppendTo(out, prefix, "state::", StateOf(host), "\n");
  if (host.host != nullptr) {
    for (const Address& address : host.host->addresses)
      AppendTo(out, prefix, "address::", address.ToString(), "\n");
  }
  AppendTo(out, prefix, "ttl::", host.ttl.count(), "\n");
  AppendTo(out, prefix, "refresh_in::", std::max<int64_t>(SecondsOf(host.refresh_at - now), 0),
           "\n");
  AppendTo(out, prefix, "last_used::", SecondsOf(now - host.last_used), "\n");
  AppendTo(out, prefix, "failures::", host.failures, "\n");
  if (!host.last_failure.empty()) AppendTo(out, prefix, "last_failure::", host.last_failure, "\n");
  for (const auto& [name, value] : UseOf(host)) AppendTo(out, prefix, name, "::", value, "\n");
}

void AppendJson(const DnsCache::HostView& host, TimePoint now, std::string* out) {
  AppendTo(out, "{\"host\":");
  AppendJsonString(host.key, out);
  AppendTo(out, ",\"state\":\"", StateOf(host), "\",\"addresses\":[");
  bool first = true;
  if (host.host != nullptr) {
    for (const Address& address : host.host->addresses)
      AppendTo(out, std::exchange(first, false) ? "\"" : ",\"", address.ToString(), "\"");
  }
  AppendTo(out, "],\"ttl_seconds\":", host.ttl.count(),
           ",\"refresh_in_seconds\":", std::max<int64_t>(SecondsOf(host.refresh_at - now), 0),
           ",\"last_used_seconds_ago\":", SecondsOf(now - host.last_used),
           ",\"failures\":", host.failures);
  if (!host.last_failure.empty()) {
    AppendTo(out, ",\"last_failure\":");
    AppendJsonString(host.last_failure, out);
  }
  for (const auto& [name, value] : UseOf(host)) AppendTo(out, ",\"", name, "\":", value);
  AppendTo(out, "}");
}

std::string Json(const std::vector<DnsCache*>& caches) {
  std::string out = "{\"dns_caches\":[";
  for (size_t i = 0; i < caches.size(); ++i) {
    AppendTo(&out, i == 0 ? "" : ",", "{\"name\":");
    AppendJsonString(caches[i]->name(), &out);
    AppendTo(&out, ",\"max_hosts\":", caches[i]->settings().max_hosts, ",\"settings\":{");
    bool first = true;
    for (const auto& [name, value] : SettingsOf(*caches[i]))
      AppendTo(&out, std::exchange(first, false) ? "\"" : ",\"", name, "\":", value);
    out += "},\"hosts\":[";
    const auto hosts = caches[i]->Hosts();
    for (size_t k = 0; k < hosts.size(); ++k) {
      if (k > 0) out += ",";
      AppendJson(hosts[k], Now(), &out);
    }
    out += "]}";
  }
  return out + "]}\n";
}

}  // namespace

AdminReply DnsCachePage(const AdminRequest& request, const AdminContext& context) {
  const auto caches = context.dns_caches ? context.dns_caches() : std::vector<DnsCache*>();
  if (request.Get("format") == "json") return {200, Json(caches), kJson};
  std::string out;
  for (const DnsCache* cache : caches) {
    for (const auto& [name, value] : SettingsOf(*cache))
      AppendTo(&out, cache->name(), "::settings::", name, "::", value, "\n");
    for (const DnsCache::HostView& host : cache->Hosts())
      AppendText(cache->name(), host, Now(), &out);
  }
  return {200, out};
}

AdminReply DnsCacheFlushPage(const AdminRequest& request, const AdminContext& context) {
  // A filter that is not understood must not become "all".
  for (const auto& [key, value] : request.query) {
    if ((key != "cache" && key != "host") || value.empty())
      return {400, "usage: /dns_cache/flush?cache=NAME&host=HOST, both optional\n"};
  }
  const std::string_view name = request.Get("cache");
  std::string host(request.Get("host"));
  std::transform(host.begin(), host.end(), host.begin(), [](char c) { return ToLower(c); });
  size_t flushed = 0;
  bool known = name.empty();
  for (DnsCache* cache : context.dns_caches ? context.dns_caches() : std::vector<DnsCache*>()) {
    if (!name.empty() && cache->name() != name) continue;
    known = true;
    flushed += cache->Flush(host);
  }
  if (!known) return {404, Cat("no such DNS cache: ", name, "\n")};
  return {200, Cat("OK: ", flushed, flushed == 1 ? " host\n" : " hosts\n")};
}

}  // namespace sluice::admin
