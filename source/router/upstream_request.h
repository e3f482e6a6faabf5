// Upstream request: what the route and the client's x-envoy-* headers make of a request before it
// is sent. Worker thread only.
#pragma once

#include <optional>

#include "source/http/exchange.h"
#include "source/router/route.h"

namespace sluice {

/// What a trusted client may ask for by headers; unset: as the route says.
struct RequestWishes {
  std::optional<Duration> timeout;          // x-envoy-upstream-rq-timeout-ms
  std::optional<Duration> per_try_timeout;  // x-envoy-upstream-rq-per-try-timeout-ms
  std::optional<uint32_t> max_retries;      // x-envoy-max-retries
  uint32_t retry_on = 0;                    // x-envoy-retry-on
  std::vector<uint32_t> status_codes;       // x-envoy-retriable-status-codes

  bool wants_retries() const { return retry_on != 0; }
};

/// Takes the wishes out of the head. They are honoured only when the connection manager has marked
/// the client as internal (x-envoy-internal: true), and removed in any case. Costs one look at the
/// length of each header where there are none.
RequestWishes TakeWishes(RequestHead& head);

/// The route's policy with the wishes on top of it.
RetryPolicy WithWishes(const RetryPolicy* policy, const RequestWishes& wishes);

/// Edits headers, then host, then path, as the route says; sets x-envoy-expected-rq-timeout-ms,
/// x-envoy-attempt-count, x-envoy-original-path. `timeout` zero: none. Allocates nothing (beyond
/// the arena) where there is nothing to rewrite.
void PrepareRequest(const Route& route, Duration timeout, bool suppress_envoy_headers,
                    RequestHead& head, const Exchange& exchange);

}  // namespace sluice
