// Registration. Main thread.
#include "source/server/hcm_stats.h"

namespace sluice {
namespace {

Counter Make(const stats::Scope& scope, std::string_view name, Counter) {
  return scope.counter(name);
}
Gauge Make(const stats::Scope& scope, std::string_view name, Gauge) {
  return scope.gauge(name);
}
Histogram Make(const stats::Scope& scope, std::string_view name, Histogram) {
  return scope.histogram(name);
}

}  // namespace

HcmStats::HcmStats(const stats::Scope& scope) {
#define SLUICE_MAKE(kind, name) name = Make(scope, #name, kind{});
  SLUICE_HCM_STATS(SLUICE_MAKE)
#undef SLUICE_MAKE
}

void HcmStats::CountStatus(int status) const {
  const Counter classes[] = {downstream_rq_1xx, downstream_rq_2xx, downstream_rq_3xx,
                             downstream_rq_4xx, downstream_rq_5xx};
  if (status >= 100 && status < 600) classes[status / 100 - 1].Add();
}

}  // namespace sluice
