// Retry policy: which outcome of an attempt is worth another one, and how long to wait before it.
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "source/async/worker.h"
#include "source/base/clock.h"
#include "source/http/message.h"
#include "source/observe/match/match.h"
#include "source/upstream/retry_hosts.h"

namespace sluice {

struct RetryPolicy {
  enum On : uint32_t {
    k5xx = 1 << 0,
    kGatewayError = 1 << 1,
    kReset = 1 << 2,
    kConnectFailure = 1 << 3,
    kRetriable4xx = 1 << 4,
    kRetriableStatusCodes = 1 << 5,
    kRefusedStream = 1 << 6,  // never seen on HTTP/1.1
    kResetBeforeRequest = 1 << 7,
    kEnvoyRateLimited = 1 << 8,
    kRetriableHeaders = 1 << 9,
    kHttp3PostConnectFailure = 1 << 10,  // nor is this
    kGrpcCancelled = 1 << 11,
    kGrpcDeadlineExceeded = 1 << 12,
    kGrpcInternal = 1 << 13,
    kGrpcResourceExhausted = 1 << 14,
    kGrpcUnavailable = 1 << 15,
  };
  struct ResetHeader {
    std::string name;           // in lower case
    bool is_unix_time = false;  // else seconds from now
  };

  uint32_t on = 0;
  uint32_t max_retries = 1;
  Duration per_try_timeout{};       // zero: none
  Duration per_try_idle_timeout{};  // zero: none
  Duration base_interval{};         // zero: the standard one, and at most ten times as much
  Duration max_interval{};
  std::vector<uint32_t> status_codes;        // for kRetriableStatusCodes
  std::vector<HeaderMatcher> headers;        // of the response, for kRetriableHeaders
  std::vector<HeaderMatcher> only_requests;  // empty: all; else those that one of them matches
  std::vector<ResetHeader> reset_headers;    // rate_limited_retry_back_off
  Duration max_reset = std::chrono::seconds(300);
  RetryHosts hosts;
};

/// The bits of a comma separated list such as "5xx,connect-failure". The first unknown word is put
/// into `unknown`, if that is not null.
uint32_t ParseRetryOn(std::string_view words, std::string* unknown);
/// All words, for suggestions.
std::vector<std::string_view> RetryWords();

/// Whether an answer is to be tried again.
bool IsRetriable(const RetryPolicy& policy, ResponseHead& head);
/// Whether a failure before the answer is. `request_sent`: the upstream may have seen something of
/// it.
bool IsRetriable(const RetryPolicy& policy, const absl::Status& failure, bool request_sent);

/// How long to wait before retry number `n` (from 1): anything in [0, (2^n - 1) * base), at most
/// max_interval. `standard`: the base for policies without one.
Duration RetryBackOff(const RetryPolicy& policy, uint32_t n, Duration standard, Rng& rng);

/// What the answer itself asks for by one of policy.reset_headers, and up to half as much on top;
/// nullopt when it asks for nothing or for more than max_reset. `now`: seconds since 1970.
std::optional<Duration> RateLimitedBackOff(const RetryPolicy& policy, const Headers& headers,
                                           int64_t now, Rng& rng);

}  // namespace sluice
