// Router: the last filter of a chain. It does what the route says: forwards to a cluster (with
// timeouts and retries), answers or redirects. Immutable and shared by all workers.
#pragma once

#include <functional>
#include <string_view>

#include "source/http/filter.h"
#include "source/observe/stats.h"
#include "source/router/request_recording.h"
#include "source/router/route.h"
#include "source/router/routed_body.h"
#include "source/upstream/cluster.h"

namespace sluice {

struct RouterSettings {
  /// The cluster of that name as the calling worker sees it; null when there is none. It must live
  /// until the exchange has ended.
  std::function<const Cluster*(std::string_view name, const Worker& worker)> find_cluster;
  bool suppress_envoy_headers = false;
};

// X(kind, name)
#define SLUICE_ROUTER_STATS(X)                           \
  X(Counter, no_cluster)                                 \
  X(Counter, no_route)                                   \
  X(Counter, rq_direct_response)                         \
  X(Counter, rq_redirect)                                \
  X(Counter, rq_reset_after_downstream_response_started) \
  X(Counter, rq_retry_skipped_request_not_complete)      \
  X(Counter, rq_total)

struct RouterStats {
  explicit RouterStats(const stats::Scope& scope);
#define SLUICE_DECLARE(kind, name) kind name;
  SLUICE_ROUTER_STATS(SLUICE_DECLARE)
#undef SLUICE_DECLARE
};

/// `envoy.filters.http.router`. Expects exchange.route() to be null or a Route. It counts the
/// answers of a cluster (ClusterStats::codes, upstream_rq_completed, upstream_rq_time), its retries
/// and its timeouts; Cluster::Send counts the rest. The upgrade check (UpgradeAllowed),
/// Route::idle_timeout and Route::max_stream_duration are the connection manager's.
class Router final : public Filter {
 public:
  /// `scope` is http.<stat_prefix>.
  Router(RouterSettings settings, const stats::Scope& scope);

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  Response AnswerLocally(const Route& route, RequestHead& head, Exchange& exchange) const;
  /// The usual way: one attempt.
  Task<Response> Forward(Request request, Exchange& exchange, const Route& route,
                         const Cluster& cluster, Duration timeout) const;
  Task<Response> ForwardWithRetries(Request request, Exchange& exchange, const Route& route,
                                    const Cluster& cluster, Duration timeout,
                                    RetryPolicy policy) const;
  /// Whether another attempt is due after `outcome`, and allowed: then it is counted, and `unit`
  /// holds the breaker's leave.
  bool WillRetry(const RetryPolicy& policy, const absl::StatusOr<Response>& outcome,
                 const RequestRecording* recording, const Route& route, const Cluster& cluster,
                 Exchange& exchange, BreakerUnit* unit) const;
  Response Finish(absl::StatusOr<Response> outcome, std::unique_ptr<RoutedBody> body,
                  const Route& route, const Cluster& cluster, Exchange& exchange,
                  TimePoint start) const;
  Response Fail(const absl::Status& error, const Route& route, const Cluster& cluster,
                Exchange& exchange) const;

  const RouterSettings settings_;
  const RouterStats stats_;
};

}  // namespace sluice
