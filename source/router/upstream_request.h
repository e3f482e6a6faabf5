// Upstream request: what the route and the client's x-envoy-* headers make of a request before it
// is sent. Worker thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/http/exchange.h"
#include "source/router/route.h"
#include "source/upstream/cluster.h"

namespace sluice {

/// What a trusted client may ask for by headers; unset: as the route says.
struct RequestWishes {
  std::optional<Duration> timeout;          // x-envoy-upstream-rq-timeout-ms
  std::optional<Duration> per_try_timeout;  // x-envoy-upstream-rq-per-try-timeout-ms
  std::optional<uint32_t> max_retries;      // x-envoy-max-retries
  uint32_t retry_on = 0;                    // x-envoy-retry-on
  std::vector<uint32_t> status_codes;       // x-envoy-retriable-status-codes
  std::vector<HeaderMatcher> headers;       // x-envoy-retriable-header-names
  std::optional<Duration> stream_duration;  // x-envoy-upstream-stream-duration-ms
  bool no_content_on_timeout = false;       // x-envoy-upstream-rq-timeout-alt-response
  std::string_view alt_stat_name;           // x-envoy-upstream-alt-stat-name

  bool wants_retries() const { return retry_on != 0; }
  /// Whether a policy of its own is to be made of the route's.
  bool changes_policy() const {
    return wants_retries() || max_retries.has_value() || per_try_timeout.has_value() ||
           !status_codes.empty() || !headers.empty();
  }
};

/// How long a request and each of its attempts may take; zero: any time.
struct RequestTimeouts {
  Duration global{};
  Duration per_try{};
  Duration life{};  // of an attempt's stream
};

/// The timeout that a gRPC request asks for, as far as the route's max_grpc_timeout allows; zero:
/// none.
Duration GrpcTimeout(const Route& route, const RequestHead& head);

/// The first of `names` whose value in the head cannot be read, where a client may say such things
/// at all; empty when there is none (Router.strict_check_headers).
std::string_view UnreadableWish(const std::vector<std::string>& names, const RequestHead& head);

/// Takes the wishes out of the head. They are honoured only when the connection manager has marked
/// the client as internal (x-envoy-internal: true), and removed in any case. Costs one look at the
/// length of each header where there are none.
RequestWishes TakeWishes(RequestHead& head);

/// The route's policy (null: none) with the wishes on top of it.
RetryPolicy WithWishes(const RetryPolicy* policy, const RequestWishes& wishes);

/// The answer to a request that the cluster does not take.
Response AnswerTo(TurnedAway why, bool suppress_envoy_headers, Exchange& exchange);

/// Whether the policy has a say on this request (retriable_request_headers).
bool MayRetry(const RetryPolicy& policy, const RequestHead& head);

/// Edits headers, then host, then path, as the route says; sets x-envoy-expected-rq-timeout-ms,
/// x-envoy-attempt-count, x-envoy-original-host and -path. Allocates nothing (beyond the arena)
/// where there is nothing to rewrite.
void PrepareRequest(const Route& route, const RequestTimeouts& timeouts,
                    bool suppress_envoy_headers, RequestHead& head, const Exchange& exchange);

/// What changes from one attempt to the next: x-envoy-attempt-count, x-envoy-is-timeout-retry,
/// x-envoy-expected-rq-timeout-ms. `elapsed`: since the request was complete.
void PrepareRetry(const Route& route, const RequestTimeouts& timeouts, Duration elapsed,
                  bool after_timeout, bool suppress_envoy_headers, uint32_t attempt,
                  RequestHead& head);

}  // namespace sluice
