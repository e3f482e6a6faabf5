// The metrics of one HTTP connection manager under Envoy's names (http.<stat_prefix>.*). Handles:
// any thread counts.
#pragma once

#include "source/http/h1/server_session.h"
#include "source/observe/stats/stats.h"

namespace sluice {

// X(kind, name). Those of HTTP/2 and TLS stand at zero, and so do
// downstream_rq_rejected_via_ip_detection (no detection refuses a request) and rs_too_large (nobody
// gathers a whole response).
#define SLUICE_HCM_STATS(X)                                 \
  X(Counter, downstream_cx_delayed_close_timeout)           \
  X(Counter, downstream_cx_destroy)                         \
  X(Counter, downstream_cx_destroy_active_rq)               \
  X(Counter, downstream_cx_destroy_local)                   \
  X(Counter, downstream_cx_destroy_local_active_rq)         \
  X(Counter, downstream_cx_destroy_remote)                  \
  X(Counter, downstream_cx_destroy_remote_active_rq)        \
  X(Counter, downstream_cx_drain_close)                     \
  X(Counter, downstream_cx_http1_total)                     \
  X(Counter, downstream_cx_http2_total)                     \
  X(Counter, downstream_cx_idle_timeout)                    \
  X(Counter, downstream_cx_max_duration_reached)            \
  X(Counter, downstream_cx_max_requests_reached)            \
  X(Counter, downstream_cx_overload_disable_keepalive)      \
  X(Counter, downstream_cx_protocol_error)                  \
  X(Counter, downstream_cx_rx_bytes_total)                  \
  X(Counter, downstream_cx_ssl_total)                       \
  X(Counter, downstream_cx_total)                           \
  X(Counter, downstream_cx_tx_bytes_total)                  \
  X(Counter, downstream_cx_upgrades_total)                  \
  X(Counter, downstream_flow_control_paused_reading_total)  \
  X(Counter, downstream_flow_control_resumed_reading_total) \
  X(Counter, downstream_rq_failed_path_normalization)       \
  X(Counter, downstream_rq_header_timeout)                  \
  X(Counter, downstream_rq_http1_total)                     \
  X(Counter, downstream_rq_idle_timeout)                    \
  X(Counter, downstream_rq_max_duration_reached)            \
  X(Counter, downstream_rq_non_relative_path)               \
  X(Counter, downstream_rq_overload_close)                  \
  X(Counter, downstream_rq_redirected_with_normalized_path) \
  X(Counter, downstream_rq_rejected_via_ip_detection)       \
  X(Counter, downstream_rq_response_before_rq_complete)     \
  X(Counter, downstream_rq_rx_reset)                        \
  X(Counter, downstream_rq_timeout)                         \
  X(Counter, downstream_rq_too_large)                       \
  X(Counter, downstream_rq_total)                           \
  X(Counter, downstream_rq_tx_reset)                        \
  X(Counter, downstream_rq_ws_on_non_ws_route)              \
  X(Counter, passthrough_internal_redirect_no_route)        \
  X(Counter, rs_too_large)                                  \
  X(Gauge, downstream_cx_active)                            \
  X(Gauge, downstream_cx_http1_active)                      \
  X(Gauge, downstream_cx_upgrades_active)                   \
  X(Gauge, downstream_rq_active)                            \
  X(Histogram, downstream_cx_length_ms)                     \
  X(Histogram, downstream_rq_time)

/// The requests that were answered, by the class of the answer.
struct CompletedRequests {
  CompletedRequests() = default;  // nobody counts
  /// downstream_rq_completed and downstream_rq_1xx to 5xx of `scope`.
  explicit CompletedRequests(const stats::Scope& scope);
  /// A request was answered.
  void Count(int status) const {
    completed.Add();
    if (status >= 100 && status < 600) classes[status / 100 - 1].Add();
  }

  Counter completed, classes[5];  // classes[1] is downstream_rq_2xx
};

struct HcmStats {
  explicit HcmStats(const stats::Scope& scope);
  /// Hands a session what it counts itself.
  void GiveTo(ServerSessionSettings* session) const;

#define SLUICE_DECLARE(kind, name) kind name;
  SLUICE_HCM_STATS(SLUICE_DECLARE)
#undef SLUICE_DECLARE
  CompletedRequests completed;
  Counter health_checks;  // tracing.health_check: what the filter of health checks has seen
};

}  // namespace sluice
