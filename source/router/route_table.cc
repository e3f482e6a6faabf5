// Looking a route up. Any worker, without locks.
#include "source/router/route_table.h"

#include <algorithm>

namespace sluice {

const Route* RouteTable::Select(const RequestHead& head, Rng& rng) const {
  const auto host = domains_.Find(head.authority);
  if (!host.has_value()) return nullptr;
  const std::string_view path = head.PathOnly();
  for (const Entry& entry : hosts_[*host].entries) {
    if (!entry.matcher.Matches(head, path)) continue;
    if (entry.weights.empty()) return &entry.choices.front();
    const uint64_t drawn = rng.Below(entry.weights.back());
    const auto place = std::upper_bound(entry.weights.begin(), entry.weights.end(), drawn);
    return &entry.choices[static_cast<size_t>(place - entry.weights.begin())];
  }
  return nullptr;
}

std::vector<std::string> RouteTable::VirtualHosts() const {
  std::vector<std::string> names;
  for (const VirtualHost& host : hosts_) names.push_back(host.name);
  return names;
}

}  // namespace sluice
