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
    {"connect-failure", RetryPolicy::kConnectFailure},
    {"retriable-4xx", RetryPolicy::kRetriable4xx},
    {"retriable-status-codes", RetryPolicy::kRetriableStatusCodes},
    {"refused-stream", RetryPolicy::kRefusedStream},
};

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

bool IsRetriable(const RetryPolicy& policy, int status) {
  if ((policy.on & RetryPolicy::k5xx) != 0 && status >= 500 && status < 600) return true;
  if ((policy.on & RetryPolicy::kGatewayError) != 0 && status >= 502 && status <= 504) return true;
  if ((policy.on & RetryPolicy::kRetriable4xx) != 0 && status == 409) return true;
  return (policy.on & RetryPolicy::kRetriableStatusCodes) != 0 &&
         std::find(policy.status_codes.begin(), policy.status_codes.end(), status) !=
             policy.status_codes.end();
}

bool IsRetriable(const RetryPolicy& policy, const absl::Status& failure) {
  switch (ReasonOf(failure)) {
    case Reason::kConnectRefused:
    case Reason::kConnectTimeout:
      return (policy.on & (RetryPolicy::kConnectFailure | RetryPolicy::kReset | RetryPolicy::k5xx |
                           RetryPolicy::kGatewayError)) != 0;
    case Reason::kConnectionTerminated:
    case Reason::kUpstreamProtocol:
    case Reason::kPerTryTimeout:
      return (policy.on & (RetryPolicy::kReset | RetryPolicy::k5xx | RetryPolicy::kGatewayError)) !=
             0;
    default:
      // An open breaker, an unknown name or a client that has gone do not get better by trying
      // again.
      return false;
  }
}

Duration RetryBackOff(const RetryPolicy& policy, uint32_t n, Rng& rng) {
  const uint64_t base = static_cast<uint64_t>(std::max<int64_t>(policy.base_interval.count(), 1));
  const uint64_t limit = static_cast<uint64_t>(std::max<int64_t>(policy.max_interval.count(), 1));
  const uint64_t factor = (uint64_t{1} << std::min<uint32_t>(n, 20)) - 1;
  const uint64_t bound = factor > limit / base ? limit : factor * base;
  return Duration(static_cast<int64_t>(rng.Below(std::max<uint64_t>(bound, 1))));
}

}  // namespace sluice
