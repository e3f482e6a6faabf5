// Registration. Main thread.
#include "source/server/hcm/hcm_stats.h"

#include "source/base/strings.h"

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
  // They stand at zero: nothing is traced, and HTTP/2 and 3 are not spoken.
  const stats::Scope tracing = scope.Sub("tracing");
  for (const std::string_view name :
       {"client_enabled", "not_traceable", "random_sampling", "service_forced"})
    tracing.counter(name);
  health_checks = tracing.counter("health_check");
  for (const std::string_view name :
       {"downstream_cx_http1_soft_drain", "downstream_cx_http3_total", "downstream_rq_http2_total",
        "downstream_rq_http3_total", "downstream_rq_too_many_premature_resets"})
    scope.counter(name);
  for (const std::string_view name :
       {"downstream_cx_http2_active", "downstream_cx_http3_active", "downstream_cx_ssl_active"})
    scope.gauge(name);
}

void HcmStats::CountStatus(int status) const {
  const Counter classes[] = {downstream_rq_1xx, downstream_rq_2xx, downstream_rq_3xx,
                             downstream_rq_4xx, downstream_rq_5xx};
  if (status >= 100 && status < 600) classes[status / 100 - 1].Add();
}

ListenerRequestStats::ListenerRequestStats(const stats::Scope& listener, std::string_view prefix) {
  const stats::Scope scope = listener.Sub("http").Sub(prefix, stats::tag::kHttpConnManagerPrefix);
  completed = scope.counter("downstream_rq_completed");
  for (int i = 0; i < 5; ++i) classes[i] = scope.counter(Cat("downstream_rq_", i + 1, "xx"));
}

OpenConnection::OpenConnection(const HcmStats& stats) : stats_(stats) {
  stats_.downstream_cx_total.Add();
  stats_.downstream_cx_http1_total.Add();
  stats_.downstream_cx_active.Add();
  stats_.downstream_cx_http1_active.Add();
}

OpenConnection::~OpenConnection() {
  stats_.downstream_cx_active.Sub();
  stats_.downstream_cx_http1_active.Sub();
  stats_.downstream_cx_destroy.Add();
  stats_.downstream_cx_length_ms.Record(static_cast<uint64_t>(Milliseconds(Now() - start_)));
}

}  // namespace sluice
