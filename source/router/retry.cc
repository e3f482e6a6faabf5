// Retry decisions. Pure functions, any thread.
#include "source/router/retry.h"

#include <algorithm>

#include "source/base/reason.h"
#include "source/base/strings.h"

namespace sluice {
namespace {

constexpr std::pair<std::string_view, uint32_t> kWords[] = {
    {"5xx", RetryPolicy::k5xx},
    {"gateway-error", RetryPolicy::kGatewayError},
    {"reset", RetryPolicy::kReset},
    {"reset-before-request", RetryPolicy::kResetBeforeRequest},
    {"connect-failure", RetryPolicy::kConnectFailure},
    {"envoy-ratelimited", RetryPolicy::kEnvoyRateLimited},
    {"retriable-4xx", RetryPolicy::kRetriable4xx},
    {"refused-stream", RetryPolicy::kRefusedStream},
    {"retriable-status-codes", RetryPolicy::kRetriableStatusCodes},
    {"retriable-headers", RetryPolicy::kRetriableHeaders},
    {"http3-post-connect-failure", RetryPolicy::kHttp3PostConnectFailure},
    {"cancelled", RetryPolicy::kGrpcCancelled},
    {"deadline-exceeded", RetryPolicy::kGrpcDeadlineExceeded},
    {"internal", RetryPolicy::kGrpcInternal},
    {"resource-exhausted", RetryPolicy::kGrpcResourceExhausted},
    {"unavailable", RetryPolicy::kGrpcUnavailable},
};

constexpr uint32_t kAnyGrpc = RetryPolicy::kGrpcCancelled | RetryPolicy::kGrpcDeadlineExceeded |
                              RetryPolicy::kGrpcInternal | RetryPolicy::kGrpcResourceExhausted |
                              RetryPolicy::kGrpcUnavailable;

uint32_t BitOfGrpcStatus(std::string_view status) {
  switch (ParseDecimal<uint32_t>(status).value_or(0)) {
    case 1:
      return RetryPolicy::kGrpcCancelled;
    case 4:
      return RetryPolicy::kGrpcDeadlineExceeded;
    case 8:
      return RetryPolicy::kGrpcResourceExhausted;
    case 13:
      return RetryPolicy::kGrpcInternal;
    case 14:
      return RetryPolicy::kGrpcUnavailable;
    default:
      return 0;
  }
}

bool IsRetriableStatus(const RetryPolicy& policy, int status) {
  if ((policy.on & RetryPolicy::k5xx) != 0 && status >= 500 && status < 600) return true;
  if ((policy.on & RetryPolicy::kGatewayError) != 0 && status >= 502 && status <= 504) return true;
  if ((policy.on & RetryPolicy::kRetriable4xx) != 0 && status == 409) return true;
  return (policy.on & RetryPolicy::kRetriableStatusCodes) != 0 &&
         std::find(policy.status_codes.begin(), policy.status_codes.end(), status) !=
             policy.status_codes.end();
}

}  // namespace

uint32_t ParseRetryOn(std::string_view words, std::string* unknown) {
  uint32_t on = 0;
  while (!words.empty()) {
    const size_t end = std::min(words.find(','), words.size());
    const std::string_view word = Trim(words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
    const auto found = std::find_if(std::begin(kWords), std::end(kWords),
                                    [&](const auto& entry) { return entry.first == word; });
    if (found != std::end(kWords)) {
      on |= found->second;
    } else if (unknown != nullptr && unknown->empty() && !word.empty()) {
      *unknown = word;
    }
  }
  return on;
}

std::vector<std::string_view> RetryWords() {
  std::vector<std::string_view> words;
  for (const auto& [word, bit] : kWords) words.push_back(word);
  return words;
}

bool IsRetriable(const RetryPolicy& policy, ResponseHead& head) {
  if (head.headers.Get("x-envoy-ratelimited").has_value())
    return (policy.on & RetryPolicy::kEnvoyRateLimited) != 0;
  if (IsRetriableStatus(policy, head.status)) return true;
  if ((policy.on & RetryPolicy::kRetriableHeaders) != 0) {
    for (const HeaderMatcher& matcher : policy.headers) {
      if (matcher.name().starts_with(':') ? matcher.MatchesValue(head.Get(matcher.name()))
                                          : matcher.Matches(head.headers))
        return true;
    }
  }
  if ((policy.on & kAnyGrpc) == 0) return false;
  const auto status = head.headers.Get("grpc-status");
  return status.has_value() && (policy.on & BitOfGrpcStatus(*status)) != 0;
}

bool IsRetriable(const RetryPolicy& policy, const absl::Status& failure, bool request_sent) {
  uint32_t asked = RetryPolicy::kReset | RetryPolicy::k5xx | RetryPolicy::kGatewayError;
  switch (ReasonOf(failure)) {
    case Reason::kConnectRefused:
    case Reason::kBindFailed:
    case Reason::kConnectTimeout:
      asked |= RetryPolicy::kConnectFailure | RetryPolicy::kResetBeforeRequest;
      break;
    case Reason::kConnectionTerminated:
    case Reason::kUpstreamProtocol:
    case Reason::kPerTryTimeout:
    case Reason::kPerTryIdleTimeout:
    case Reason::kUpstreamMaxStreamDuration:
      if (!request_sent) asked |= RetryPolicy::kResetBeforeRequest;
      break;
    default:
      // An open breaker, an unknown name or a client that has gone do not get better by trying
      // again.
      return false;
  }
  return (policy.on & asked) != 0;
}

Duration RetryBackOff(const RetryPolicy& policy, uint32_t n, Duration standard, Rng& rng) {
  const bool own = policy.base_interval > Duration::zero();
  const Duration interval = own ? policy.base_interval : standard;
  const Duration most = own ? policy.max_interval : 10 * standard;
  const uint64_t base = static_cast<uint64_t>(std::max<int64_t>(interval.count(), 1));
  const uint64_t limit = static_cast<uint64_t>(std::max<int64_t>(most.count(), 1));
  const uint64_t factor = (uint64_t{1} << std::min<uint32_t>(n, 20)) - 1;
  const uint64_t bound = factor > limit / base ? limit : factor * base;
  return Duration(static_cast<int64_t>(rng.Below(std::max<uint64_t>(bound, 1))));
}

std::optional<Duration> RateLimitedBackOff(const RetryPolicy& policy, const Headers& headers,
                                           int64_t now, Rng& rng) {
  for (const RetryPolicy::ResetHeader& header : policy.reset_headers) {
    const auto value = headers.Get(header.name);
    const auto number = value.has_value() ? ParseDecimal<uint32_t>(*value) : std::nullopt;
    if (!number.has_value()) continue;
    const int64_t seconds = header.is_unix_time ? int64_t{*number} - now : int64_t{*number};
    const Duration asked = std::chrono::seconds(seconds);
    if (seconds <= 0 || asked > policy.max_reset) continue;
    return asked +
           Duration(static_cast<int64_t>(rng.Below(static_cast<uint64_t>(asked.count()) / 2 + 1)));
  }
  return std::nullopt;
}

}  // namespace sluice
