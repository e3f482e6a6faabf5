// Retry policy: which outcome of an attempt is worth another one, and how long to wait before it.
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "source/async/worker.h"
#include "source/base/clock.h"

namespace sluice {

struct RetryPolicy {
  enum On : uint32_t {
    k5xx = 1 << 0,
    kGatewayError = 1 << 1,
    kReset = 1 << 2,
    kConnectFailure = 1 << 3,
    kRetriable4xx = 1 << 4,
    kRetriableStatusCodes = 1 << 5,
    kRefusedStream = 1 << 6,
  };
  uint32_t on = 0;
  uint32_t max_retries = 1;
  Duration per_try_timeout{};  // zero: none
  Duration base_interval = std::chrono::milliseconds(25);
  Duration max_interval = std::chrono::milliseconds(250);
  std::vector<uint32_t> status_codes;  // for kRetriableStatusCodes
};

/// The bits of a comma separated list such as "5xx,connect-failure". The first unknown word is put
/// into `unknown`, if that is not null.
uint32_t ParseRetryOn(std::string_view words, std::string* unknown);

/// Whether an answer with that status is to be tried again.
bool IsRetriable(const RetryPolicy& policy, int status);
/// Whether a failure before the answer is.
bool IsRetriable(const RetryPolicy& policy, const absl::Status& failure);

/// How long to wait before retry number `n` (from 1): anything in [0, (2^n - 1) * base), at most
/// max_interval.
Duration RetryBackOff(const RetryPolicy& policy, uint32_t n, Rng& rng);

}  // namespace sluice
