// Names with their use and their statistics. See dns_host_uses.h for the threads.
#include "source/upstream/dns/dns_host_uses.h"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

constexpr std::string_view kDnsHostTag = "envoy.dns_host";
constexpr std::array<std::string_view, kHostCounts> kCountNames = {
    "rq_total", "rq_5xx", "rq_error", "rq_overflow", "cx_total", "cx_connect_fail"};
constexpr std::array<std::string_view, 3> kUsedNames = {"cx_active", "rq_pending", "rq_active"};

}  // namespace

DnsHostUses::Metrics::Metrics(stats::Scope s) : scope(std::move(s)) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = scope.counter(kCountNames[i]);
  for (size_t i = 0; i < used.size(); ++i) used[i] = scope.gauge(kUsedNames[i]);
}

DnsHostUses::DnsHostUses(const stats::Scope& scope, size_t workers, uint32_t max_stats)
    : scope_(scope), workers_(workers), max_stats_(max_stats) {}

DnsHostUses::~DnsHostUses() = default;

void DnsHostUses::SetLimits(uint32_t connections, uint32_t pending, uint32_t requests) {
  const auto set = [&](HostResource resource, uint32_t limit) {
    (*limits_)[static_cast<size_t>(resource)].store(limit, std::memory_order_relaxed);
  };
  set(HostResource::kConnections, connections);
  set(HostResource::kPending, pending);
  set(HostResource::kRequests, requests);
}

std::shared_ptr<HostUse> DnsHostUses::Enter(const std::string& text) {
  if (gone_ >= prune_at_) Prune();
  const auto [it, is_new] = names_.try_emplace(text);
  Name& name = it->second;
  if (is_new) name.use = std::make_shared<HostUse>(limits_, workers_);
  if (!is_new && name.entries == 0) --gone_;
  ++name.entries;
  return name.use;
}

void DnsHostUses::Leave(std::string_view text) {
  const auto it = names_.find(text);
  if (--it->second.entries > 0) return;
  if (it->second.metrics.has_value()) Hide(it->second.metrics->scope.prefix());
  // Requests that still run count for an entry that may come after this one.
  if (it->second.use.use_count() == 1) {
    names_.erase(it);
  } else {
    ++gone_;
  }
}

// Forgets names that left the cache and whose last request has ended.
void DnsHostUses::Prune() {
  gone_ -= absl::erase_if(names_, [](const auto& entry) {
    return entry.second.entries == 0 && entry.second.use.use_count() == 1;
  });
  // Before it is worth looking again as many must have come as there are.
  prune_at_ = std::max(kPruneAt, 2 * gone_);
}

// The store forgets all that begins with the prefix and a dot: where that is another name, its
// statistics begin anew.
void DnsHostUses::Hide(const std::string& prefix) {
  const std::string removed = prefix;
  for (auto& [text, name] : names_) {
    if (!name.metrics.has_value()) continue;
    const std::string_view other = name.metrics->scope.prefix();
    if (!other.starts_with(removed)) continue;
    if (other.size() > removed.size() && other[removed.size()] != '.') continue;
    name.metrics.reset();
    --shown_;
  }
  scope_.store().Remove(removed);
}

void DnsHostUses::ShowBusiest() {
  if (shown_ >= max_stats_) return;
  std::vector<std::pair<uint64_t, StringMap<Name>::iterator>> waiting;
  for (auto it = names_.begin(); it != names_.end(); ++it) {
    if (it->second.entries > 0 && !it->second.metrics.has_value())
      waiting.emplace_back(it->second.use->Total(HostCount::kRqTotal), it);
  }
  const size_t room = std::min<size_t>(waiting.size(), max_stats_ - shown_);
  std::partial_sort(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(room),
                    waiting.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; i < room; ++i) {
    auto& [text, name] = *waiting[i].second;
    name.metrics.emplace(scope_.Sub(text, kDnsHostTag));
    ++shown_;
  }
}

void DnsHostUses::Refresh() {
  ShowBusiest();
  for (auto& [text, name] : names_) {
    if (!name.metrics.has_value()) continue;
    Metrics& metrics = *name.metrics;
    for (size_t i = 0; i < kHostCounts; ++i) {
      const uint64_t total = name.use->Total(static_cast<HostCount>(i));
      metrics.counts[i].Add(total - std::exchange(metrics.counted[i], total));
    }
    for (size_t i = 0; i < metrics.used.size(); ++i)
      metrics.used[i].Set(name.use->InUse(static_cast<HostResource>(i)));
  }
}

}  // namespace sluice
