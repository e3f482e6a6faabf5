// /dns_cache: what is known of every name, and how to forget it. Main thread.
#include <algorithm>
#include <cstdio>

#include "source/base/strings.h"
#include "source/observe/json.h"
#include "source/server/admin/page.h"
#include "source/upstream/dns_cache.h"

namespace sluice::admin {
namespace {

int64_t SecondsOf(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
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
  AppendTo(out, "}");
}

std::string Json(const std::vector<DnsCache*>& caches) {
  std::string out = "{\"dns_caches\":[";
  for (size_t i = 0; i < caches.size(); ++i) {
    AppendTo(&out, i == 0 ? "" : ",", "{\"name\":");
    AppendJsonString(caches[i]->name(), &out);
    AppendTo(&out, ",\"max_hosts\":", caches[i]->options().max_hosts, ",\"hosts\":[");
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
    for (const DnsCache::HostView& host : cache->Hosts())
      AppendText(cache->name(), host, Now(), &out);
  }
  return {200, out};
}

AdminReply DnsCacheFlushPage(const AdminRequest& request, const AdminContext& context) {
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
