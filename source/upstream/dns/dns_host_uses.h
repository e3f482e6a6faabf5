// DnsHostUses: the HostUse of every host name of a DNS cache, and the statistics of the busiest of
// them. Main thread.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "source/base/strings.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/dns/host_use.h"

namespace sluice {

class DnsHostUses {
 public:
  /// Statistics of at most `max_stats` names at a time, below `scope` (dns_cache.<name>.host).
  DnsHostUses(const stats::Scope& scope, size_t workers, uint32_t max_stats);
  ~DnsHostUses();
  DnsHostUses(const DnsHostUses&) = delete;

  /// From now on these hold; 0: no limit.
  void SetLimits(uint32_t connections, uint32_t pending, uint32_t requests);

  /// The cache has one more entry of that name. Requests of an entry that went before still count,
  /// as long as they run.
  std::shared_ptr<HostUse> Enter(const std::string& name);
  /// It has one less; with the last one the name's statistics go.
  void Leave(std::string_view name);

  /// Brings the statistics up to date. Names without any get theirs, those with most requests
  /// first, as far as there is room.
  void Refresh();

 private:
  struct Metrics {
    explicit Metrics(stats::Scope scope);
    stats::Scope scope;
    std::array<Counter, kHostCounts> counts;
    std::array<uint64_t, kHostCounts> counted{};  // so much of the totals the counters have
    std::array<Gauge, 3> used;
  };
  struct Name {
    std::shared_ptr<HostUse> use;
    uint32_t entries = 0;
    std::optional<Metrics> metrics;
  };

  void ShowBusiest();
  void Hide(const std::string& prefix);
  void Prune();

  const stats::Scope scope_;
  const size_t workers_;
  const uint32_t max_stats_;
  const std::shared_ptr<HostLimits> limits_ = std::make_shared<HostLimits>();
  StringMap<Name> names_;
  uint32_t shown_ = 0;  // names with metrics
  static constexpr size_t kPruneAt = 64;
  size_t gone_ = 0;  // names without entries
  size_t prune_at_ = kPruneAt;
};

}  // namespace sluice
