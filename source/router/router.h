// Router: the last filter of a chain. It does what the route says: forwards to a cluster (with
// timeouts and retries), answers or redirects. Immutable and shared by all workers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "source/base/overload_state.h"
#include "source/config/runtime.h"
#include "source/http/filter.h"
#include "source/observe/stats/stats.h"
#include "source/router/request_recording.h"
#include "source/router/route.h"
#include "source/router/routed_body.h"
#include "source/router/upstream_request.h"
#include "source/upstream/cluster.h"

namespace sluice {

struct RouterSettings {
  /// The cluster of that name as the calling worker sees it; null when there is none. It must live
  /// until the exchange has ended.
  std::function<const Cluster*(std::string_view name, const Worker& worker)> find_cluster;
  bool suppress_envoy_headers = false;
  bool respect_expected_rq_timeout = false;
  std::vector<std::string> strict_check_headers;
  AttemptLog::Loggers upstream_logs;
  /// What the runtime says about retries: the percentage that is allowed (upstream.use_retry), and
  /// the back-off's base of policies without one (upstream.base_retry_backoff_ms).
  config::RuntimeUInt32 use_retry{nullptr, "", 100}, retry_base_ms{nullptr, "", 25};
  const OverloadState* overload = &OverloadState::Calm();
};

// X(kind, name)
#define SLUICE_ROUTER_STATS(X)                                 \
  X(Counter, no_cluster)                                       \
  X(Counter, no_route)                                         \
  X(Counter, passthrough_internal_redirect_bad_location)       \
  X(Counter, passthrough_internal_redirect_predicate)          \
  X(Counter, passthrough_internal_redirect_too_many_redirects) \
  X(Counter, passthrough_internal_redirect_unsafe_scheme)      \
  X(Counter, rq_direct_response)                               \
  X(Counter, rq_overload_local_reply)                          \
  X(Counter, rq_redirect)                                      \
  X(Counter, rq_reset_after_downstream_response_started)       \
  X(Counter, rq_retry_skipped_request_not_complete)            \
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
  // One request on its way to its cluster. Lives in the frame that forwards it.
  struct Forwarding {
    Exchange& exchange;
    const Route& route;
    const Cluster& cluster;
    RequestTimeouts timeouts;
    SendOptions options;
    TimePoint start;
    RequestCounters counters;
    bool may_retry = true;
    bool no_content_on_timeout = false;
    std::vector<std::string> set_cookies;  // of the response
  };
  // The route's policy, or one of its own that a client's wishes have made of it.
  struct ChosenPolicy {
    const RetryPolicy* shared;
    std::unique_ptr<const RetryPolicy> own;
    const RetryPolicy& operator*() const { return own != nullptr ? *own : *shared; }
  };

  Response AnswerLocally(const Route& route, RequestHead& head, Exchange& exchange) const;
  Response NoCluster(const Route& route, Exchange& exchange) const;
  Response Shed(Exchange& exchange) const;
  Response TurnAway(TurnedAway why, const Cluster& cluster, const RequestCounters& counters,
                    Exchange& exchange) const;
  Response UnreadableHeader(std::string_view name, const Route& route, const RequestHead& head,
                            Exchange& exchange) const;
  RequestTimeouts TimeoutsOf(const Route& route, const RequestWishes& wishes,
                             const RequestHead& head) const;
  /// The usual way: one attempt.
  Task<Response> Forward(Request request, Forwarding forwarding) const;
  Task<Response> ForwardWithRetries(Request request, Forwarding forwarding,
                                    ChosenPolicy chosen) const;
  /// One attempt under its own limits.
  static Task<absl::StatusOr<Response>> Attempt(Request& request, const Forwarding& forwarding,
                                                const RetryPolicy& policy, RoutedBody& body);
  static Task<absl::StatusOr<Response>> SendOnce(Request& request, const Forwarding& forwarding);
  /// How long to wait before another attempt, when one is due after `outcome`, and allowed: then it
  /// is counted, and `unit` holds the breaker's leave.
  std::optional<Duration> WillRetry(const RetryPolicy& policy,
                                    const absl::StatusOr<Response>& outcome,
                                    const RequestRecording* recording, const Forwarding& forwarding,
                                    BreakerUnit* unit) const;
  /// Whether the answer is a redirect that the connection manager is to follow.
  bool Redirects(ResponseHead& response, const std::shared_ptr<RequestRecording>& recording,
                 const Forwarding& forwarding, RequestHead& head) const;
  Response Finish(absl::StatusOr<Response> outcome, std::unique_ptr<RoutedBody> body,
                  const Forwarding& forwarding) const;
  Response Fail(const absl::Status& error, const Forwarding& forwarding) const;

  const RouterSettings settings_;
  const RouterStats stats_;
};

}  // namespace sluice
