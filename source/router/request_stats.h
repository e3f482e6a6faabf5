// RequestStats: the figures of a virtual cluster (vhost.<name>.vcluster.<name>.*) and of a route
// with a stat_prefix (vhost.<name>.route.<prefix>.*). Handles: any thread counts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/http/exchange.h"
#include "source/observe/match/match.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/cluster_stats.h"

namespace sluice {

// X(kind, name)
#define SLUICE_REQUEST_STATS(X)                \
  X(Counter, upstream_rq_retry)                \
  X(Counter, upstream_rq_retry_limit_exceeded) \
  X(Counter, upstream_rq_retry_overflow)       \
  X(Counter, upstream_rq_retry_success)        \
  X(Counter, upstream_rq_timeout)              \
  X(Counter, upstream_rq_total)                \
  X(Histogram, upstream_rq_time)

struct RequestStats {
  explicit RequestStats(const stats::Scope& scope);
#define SLUICE_DECLARE(kind, name) kind name;
  SLUICE_REQUEST_STATS(SLUICE_DECLARE)
#undef SLUICE_DECLARE
  CodeCounters codes;
};

/// One of the groups into which a virtual host's requests are counted. The last one of a list takes
/// what no other one matches, and has no name.
struct VirtualCluster {
  std::string name;
  std::vector<HeaderMatcher> headers;  // all of them
  std::shared_ptr<const RequestStats> stats;
};
using VirtualClusters = std::vector<VirtualCluster>;

/// The first that matches.
const VirtualCluster& FindVirtualCluster(const VirtualClusters& clusters, const RequestHead& head);

/// What one request is counted under beside its cluster; null: nothing.
struct RequestCounters {
  const RequestStats* virtual_cluster = nullptr;
  const RequestStats* route = nullptr;
  const AnswerKinds::Alternative* alternative = nullptr;  // as the client wants it called

  void Count(Counter RequestStats::* counter) const {
    if (virtual_cluster != nullptr) (virtual_cluster->*counter).Add();
    if (route != nullptr) (route->*counter).Add();
  }
  /// After an attempt: one that was neither answered nor sent found no connection, and is none of
  /// upstream_rq_total.
  void CountAttempt(bool answered, const TimeMeter& time) const {
    if (answered || time.upstream_first_sent != TimePoint{})
      Count(&RequestStats::upstream_rq_total);
  }
  void CountAnswer(int status) const;
  void RecordTime(uint64_t milliseconds) const {
    if (virtual_cluster != nullptr) virtual_cluster->upstream_rq_time.Record(milliseconds);
    if (route != nullptr) route->upstream_rq_time.Record(milliseconds);
  }
};

}  // namespace sluice
