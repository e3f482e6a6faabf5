// Registration. Main thread.
#include "source/server/hcm/hcm_stats.h"

#include "source/base/strings.h"

namespace sluice {
HcmStats::HcmStats(const stats::Scope& scope) : completed(scope) {
#define SLUICE_MAKE(kind, name) name = stats::Make(scope, #name, kind{});
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

void HcmStats::GiveTo(ServerSessionSettings* session) const {
  session->received = downstream_cx_rx_bytes_total;
  session->sent = downstream_cx_tx_bytes_total;
  session->idle_timeouts = downstream_cx_idle_timeout;
  session->duration_timeouts = downstream_cx_max_duration_reached;
  session->request_limits = downstream_cx_max_requests_reached;
  session->delayed_closes = downstream_cx_delayed_close_timeout;
  session->reading_paused = downstream_flow_control_paused_reading_total;
  session->reading_resumed = downstream_flow_control_resumed_reading_total;
  session->shed_connections = downstream_rq_overload_close;
  session->overload_closes = downstream_cx_overload_disable_keepalive;
}

CompletedRequests::CompletedRequests(const stats::Scope& scope)
    : completed(scope.counter("downstream_rq_completed")) {
  for (int i = 0; i < 5; ++i) classes[i] = scope.counter(Cat("downstream_rq_", i + 1, "xx"));
}

}  // namespace sluice
