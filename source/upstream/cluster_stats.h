// The metrics of one cluster under Envoy's names (cluster.<name>.*). Handles: any thread counts.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "source/base/strings.h"
#include "source/observe/stats/stats.h"

namespace sluice {

// X(kind, name). At zero stand: upstream_cx_pool_overflow (pools are not limited), version and
// assignment_stale (there is no xDS), upstream_cx_close_notify (nor TLS), upstream_rq_rx_reset,
// upstream_rq_tx_reset (HTTP/2's) and lb_subsets_fallback_panic.
#define SLUICE_CLUSTER_STATS(X)                           \
  X(Counter, assignment_stale)                            \
  X(Counter, lb_healthy_panic)                            \
  X(Counter, lb_subsets_created)                          \
  X(Counter, lb_subsets_fallback)                         \
  X(Counter, lb_subsets_fallback_panic)                   \
  X(Counter, lb_subsets_removed)                          \
  X(Counter, lb_subsets_selected)                         \
  X(Counter, membership_change)                           \
  X(Counter, original_dst_host_invalid)                   \
  X(Counter, retry_or_shadow_abandoned)                   \
  X(Counter, update_attempt)                              \
  X(Counter, update_empty)                                \
  X(Counter, update_failure)                              \
  X(Counter, update_no_rebuild)                           \
  X(Counter, update_success)                              \
  X(Counter, upstream_cx_close_notify)                    \
  X(Counter, upstream_cx_connect_attempts_exceeded)       \
  X(Counter, upstream_cx_connect_fail)                    \
  X(Counter, upstream_cx_connect_timeout)                 \
  X(Counter, upstream_cx_destroy)                         \
  X(Counter, upstream_cx_destroy_local)                   \
  X(Counter, upstream_cx_destroy_local_with_active_rq)    \
  X(Counter, upstream_cx_destroy_remote)                  \
  X(Counter, upstream_cx_destroy_remote_with_active_rq)   \
  X(Counter, upstream_cx_destroy_with_active_rq)          \
  X(Counter, upstream_cx_http1_total)                     \
  X(Counter, upstream_cx_idle_timeout)                    \
  X(Counter, upstream_cx_max_duration_reached)            \
  X(Counter, upstream_cx_max_requests)                    \
  X(Counter, upstream_cx_none_healthy)                    \
  X(Counter, upstream_cx_overflow)                        \
  X(Counter, upstream_cx_pool_overflow)                   \
  X(Counter, upstream_cx_protocol_error)                  \
  X(Counter, upstream_cx_rx_bytes_total)                  \
  X(Counter, upstream_cx_total)                           \
  X(Counter, upstream_cx_tx_bytes_total)                  \
  X(Counter, upstream_flow_control_backed_up_total)       \
  X(Counter, upstream_flow_control_drained_total)         \
  X(Counter, upstream_flow_control_paused_reading_total)  \
  X(Counter, upstream_flow_control_resumed_reading_total) \
  X(Counter, upstream_internal_redirect_failed_total)     \
  X(Counter, upstream_internal_redirect_succeeded_total)  \
  X(Counter, upstream_rq_active_overflow)                 \
  X(Counter, upstream_rq_cancelled)                       \
  X(Counter, upstream_rq_maintenance_mode)                \
  X(Counter, upstream_rq_max_duration_reached)            \
  X(Counter, upstream_rq_pending_failure_eject)           \
  X(Counter, upstream_rq_pending_overflow)                \
  X(Counter, upstream_rq_pending_total)                   \
  X(Counter, upstream_rq_per_try_idle_timeout)            \
  X(Counter, upstream_rq_per_try_timeout)                 \
  X(Counter, upstream_rq_retry)                           \
  X(Counter, upstream_rq_retry_backoff_exponential)       \
  X(Counter, upstream_rq_retry_backoff_ratelimited)       \
  X(Counter, upstream_rq_retry_limit_exceeded)            \
  X(Counter, upstream_rq_retry_overflow)                  \
  X(Counter, upstream_rq_retry_success)                   \
  X(Counter, upstream_rq_rx_reset)                        \
  X(Counter, upstream_rq_timeout)                         \
  X(Counter, upstream_rq_total)                           \
  X(Counter, upstream_rq_tx_reset)                        \
  X(Gauge, lb_subsets_active)                             \
  X(Gauge, max_host_weight)                               \
  X(Gauge, membership_degraded)                           \
  X(Gauge, membership_excluded)                           \
  X(Gauge, membership_healthy)                            \
  X(Gauge, membership_total)                              \
  X(Gauge, upstream_cx_active)                            \
  X(Gauge, upstream_rq_active)                            \
  X(Gauge, upstream_rq_pending_active)                    \
  X(Gauge, version)                                       \
  X(Gauge, warming_state)                                 \
  X(Histogram, upstream_cx_connect_ms)                    \
  X(Histogram, upstream_cx_length_ms)                     \
  X(Histogram, upstream_rq_per_cx)                        \
  X(Histogram, upstream_rq_time)

/// Counters of all answers, per class and per status code below one prefix:
/// `<scope>.upstream_rq_completed`, `<scope>.upstream_rq_5xx`, `<scope>.upstream_rq_503`. A code's
/// counter is made when the code is first seen, under the store's mutex.
class CodeCounters {
 public:
  CodeCounters(const stats::Scope& scope, std::string_view prefix);
  void Count(int status) const;

 private:
  stats::Scope scope_;
  std::string prefix_;
  Counter completed_;
  std::array<Counter, 6> classes_;                          // [1] to [5]
  mutable std::array<std::atomic<uint32_t>, 600> codes_{};  // metric index; 0: not made yet
};

/// Answers of one kind: <scope>.upstream_rq_<code>, _completed and _time. `name`: that of the kind,
/// below the cluster.
struct AnswerStats {
  AnswerStats(const stats::Scope& cluster, std::string_view name);
  const std::string name;
  CodeCounters codes;
  Histogram upstream_rq_time;
};

/// Kinds of answers that are counted from when the first one is seen. Any thread; under a mutex but
/// for Canary() after its first call.
class AnswerKinds {
 public:
  /// So many names that clients give (x-envoy-upstream-alt-stat-name) are counted in a cluster, and
  /// none that is longer.
  static constexpr size_t kMostNames = 100, kLongestName = 128;
  /// What answers are counted under besides, below a name that a client gives.
  struct Alternative {
    Alternative(const stats::Scope& cluster, std::string_view name);
    AnswerStats all, internal, external;
  };

  explicit AnswerKinds(const stats::Scope& cluster) : cluster_(cluster) {}

  /// "canary", "zone.a.b": names that the configuration limits, or below an Alternative.
  const AnswerStats& Get(std::string_view name) const;
  /// Those that any origin can ask for.
  const AnswerStats& Canary() const;
  /// Null: there are enough of them.
  const Alternative* GetAlternative(std::string_view name) const;

 private:
  const stats::Scope cluster_;
  mutable std::atomic<const AnswerStats*> canary_ = nullptr;
  mutable std::mutex mutex_;
  mutable StringMap<std::unique_ptr<const AnswerStats>> kinds_;
  mutable StringMap<std::unique_ptr<const Alternative>> alternatives_;
};

struct ClusterStats {
  explicit ClusterStats(const stats::Scope& scope);

#define SLUICE_DECLARE(kind, name) kind name;
  SLUICE_CLUSTER_STATS(SLUICE_DECLARE)
#undef SLUICE_DECLARE

  CodeCounters codes;        // upstream_rq_<code>
  CodeCounters retry_codes;  // retry.upstream_rq_<code>
  AnswerStats internal, external;
  AnswerKinds kinds;

  /// circuit_breakers.<priority>.*; set when somebody looks.
  struct Breaker {
    Breaker(const stats::Scope& scope, bool track_remaining);
    Gauge cx_open, cx_pool_open, rq_pending_open, rq_open, rq_retry_open;
    Gauge remaining_cx, remaining_cx_pools, remaining_pending, remaining_rq, remaining_retries;
  };
  stats::Scope scope;
};

}  // namespace sluice
