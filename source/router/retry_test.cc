// Tables for the retry decision and its pauses.
#include "source/router/retry.h"

#include <catch2/catch.hpp>

#include "source/base/reason.h"

namespace sluice {
namespace {

RetryPolicy On(const char* words) {
  RetryPolicy policy;
  std::string unknown;
  policy.on = ParseRetryOn(words, &unknown);
  REQUIRE(unknown.empty());
  policy.status_codes = {418};
  return policy;
}

TEST_CASE("answers that are tried again", "[retry]") {
  struct Row {
    const char* on;
    int status;
    bool again;
  };
  const Row rows[] = {
      {"5xx", 500, true},
      {"5xx", 599, true},
      {"5xx", 499, false},
      {"5xx", 200, false},
      {"gateway-error", 502, true},
      {"gateway-error", 504, true},
      {"gateway-error", 500, false},
      {"gateway-error", 505, false},
      {"retriable-4xx", 409, true},
      {"retriable-4xx", 404, false},
      {"retriable-status-codes", 418, true},
      {"retriable-status-codes", 500, false},
      {"5xx, retriable-4xx", 409, true},
      {"connect-failure", 503, false},
      {"reset", 503, false},
      {"refused-stream", 503, false},
      {"", 503, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.on, row.status);
    CHECK(IsRetriable(On(row.on), row.status) == row.again);
  }
}

TEST_CASE("failures that are tried again", "[retry]") {
  struct Row {
    const char* on;
    Reason reason;
    bool again;
  };
  const Row rows[] = {
      {"connect-failure", Reason::kConnectRefused, true},
      {"connect-failure", Reason::kConnectTimeout, true},
      {"connect-failure", Reason::kConnectionTerminated, false},
      {"reset", Reason::kConnectionTerminated, true},
      {"reset", Reason::kConnectRefused, true},
      {"reset", Reason::kUpstreamProtocol, true},
      {"5xx", Reason::kConnectionTerminated, true},
      {"5xx", Reason::kPerTryTimeout, true},
      {"gateway-error", Reason::kPerTryTimeout, true},
      {"retriable-4xx", Reason::kConnectRefused, false},
      {"5xx", Reason::kUpstreamTimeout, false},
      {"5xx", Reason::kCancelled, false},
      {"5xx", Reason::kOverflow, false},
      {"5xx", Reason::kDnsFailure, false},
      {"5xx", Reason::kEgressDenied, false},
      {"5xx,reset,connect-failure", Reason::kDownstreamClosed, false},
      {"", Reason::kConnectRefused, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.on, static_cast<int>(row.reason));
    CHECK(IsRetriable(On(row.on), MakeError(row.reason)) == row.again);
  }
}

TEST_CASE("unknown words are named", "[retry]") {
  std::string unknown;
  CHECK(ParseRetryOn("5xx,5x,reset,nope", &unknown) == (RetryPolicy::k5xx | RetryPolicy::kReset));
  CHECK(unknown == "5x");
  CHECK(ParseRetryOn("5xx,nope", nullptr) == RetryPolicy::k5xx);
}

TEST_CASE("pauses grow up to their limit and are spread over the whole range", "[retry]") {
  using std::chrono::milliseconds;
  RetryPolicy policy;
  policy.base_interval = milliseconds(25);
  policy.max_interval = milliseconds(250);
  Rng rng(7);
  struct Row {
    uint32_t n;
    Duration bound;
  };
  for (const Row& row : {Row{1, milliseconds(25)}, Row{2, milliseconds(75)},
                         Row{3, milliseconds(175)}, Row{4, milliseconds(250)},
                         Row{40, milliseconds(250)}, Row{UINT32_MAX, milliseconds(250)}}) {
    CAPTURE(row.n);
    Duration least = Duration::max(), most{};
    for (int i = 0; i < 1000; ++i) {
      const Duration pause = RetryBackOff(policy, row.n, rng);
      least = std::min(least, pause);
      most = std::max(most, pause);
    }
    CHECK(least >= Duration::zero());
    CHECK(least < row.bound / 10);
    CHECK(most < row.bound);
    CHECK(most > row.bound * 9 / 10);
  }
}

}  // namespace
}  // namespace sluice
