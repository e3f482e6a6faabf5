// Registering and finding the figures of virtual clusters and routes. Main thread; counting on the
// workers.
#include "source/router/request_stats.h"

#include <algorithm>

namespace sluice {
RequestStats::RequestStats(const stats::Scope& scope)
    :
#define SLUICE_MAKE(kind, name) name(stats::Make(scope, #name, kind{})),
      SLUICE_REQUEST_STATS(SLUICE_MAKE)
#undef SLUICE_MAKE
          codes(scope, "upstream_rq_") {
}

const VirtualCluster& FindVirtualCluster(const VirtualClusters& clusters, const RequestHead& head) {
  for (const VirtualCluster& cluster : clusters) {
    if (std::all_of(cluster.headers.begin(), cluster.headers.end(),
                    [&](const HeaderMatcher& matcher) { return matcher.Matches(head); }))
      return cluster;
  }
  return clusters.back();
}

void RequestCounters::CountAnswer(int status) const {
  if (virtual_cluster != nullptr) virtual_cluster->codes.Count(status);
  if (route != nullptr) route->codes.Count(status);
}

}  // namespace sluice
