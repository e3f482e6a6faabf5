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
    ResponseHead head(row.status);
    CHECK(IsRetriable(On(row.on), head) == row.again);
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
    CHECK(IsRetriable(On(row.on), MakeError(row.reason), true) == row.again);
  }
}

TEST_CASE("failures before anything was sent", "[retry]") {
  const RetryPolicy policy = On("reset-before-request");
  CHECK(IsRetriable(policy, MakeError(Reason::kConnectionTerminated), false));
  CHECK_FALSE(IsRetriable(policy, MakeError(Reason::kConnectionTerminated), true));
  CHECK(IsRetriable(policy, MakeError(Reason::kConnectRefused), true));
}

TEST_CASE("headers of an answer that decide", "[retry]") {
  struct Row {
    const char* on;
    const char* name;
    const char* value;
    bool again;
  };
  const Row rows[] = {
      {"5xx", "x-envoy-overloaded", "true", true},
      {"gateway-error", "x-envoy-overloaded", "true", true},
      {"reset", "x-envoy-overloaded", "true", false},
      {"5xx", "x-envoy-ratelimited", "true", false},
      {"envoy-ratelimited", "x-envoy-ratelimited", "true", true},
      {"envoy-ratelimited", "x-other", "true", false},
      {"retriable-headers", "x-again", "yes", true},
      {"retriable-headers", "x-again", "no", false},
      {"reset", "x-again", "yes", false},
      {"unavailable", "grpc-status", "14", true},
      {"unavailable", "grpc-status", "13", false},
      {"internal,cancelled", "grpc-status", "1", true},
      {"deadline-exceeded", "grpc-status", "4", true},
      {"resource-exhausted", "grpc-status", "8", true},
      {"resource-exhausted", "grpc-status", "x", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.on, row.name, row.value);
    RetryPolicy policy = On(row.on);
    envoy::config::route::v3::HeaderMatcher config;
    config.set_name("x-again");
    config.mutable_string_match()->set_exact("yes");
    policy.headers.push_back(*HeaderMatcher::Build(config));
    ResponseHead head(503);
    head.headers.AddCopy(row.name, row.value);
    CHECK(IsRetriable(policy, head) == row.again);
  }
}

TEST_CASE("an answer may say when to come again", "[retry]") {
  using std::chrono::seconds;
  RetryPolicy policy;
  policy.reset_headers = {{"retry-after", false}, {"x-reset", true}};
  policy.max_reset = seconds(60);
  struct Row {
    const char* name;
    const char* value;
    std::optional<Duration> least;
  };
  const Row rows[] = {
      {"retry-after", "10", seconds(10)},  {"x-reset", "1020", seconds(20)},
      {"retry-after", "61", std::nullopt}, {"retry-after", "soon", std::nullopt},
      {"x-reset", "999", std::nullopt},    {"x-other", "10", std::nullopt},
  };
  Rng rng(1);
  for (const Row& row : rows) {
    CAPTURE(row.name, row.value);
    ResponseHead head(503);
    head.headers.AddCopy(row.name, row.value);
    const auto wait = RateLimitedBackOff(policy, head.headers, 1000, rng);
    REQUIRE(wait.has_value() == row.least.has_value());
    if (!wait.has_value()) continue;
    CHECK(*wait >= *row.least);
    CHECK(*wait <= *row.least * 3 / 2);
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
  const bool has_own = GENERATE(true, false);
  RetryPolicy policy;
  if (has_own) {
    policy.base_interval = milliseconds(25);
    policy.max_interval = milliseconds(250);
  }
  const Duration standard = milliseconds(has_own ? 1 : 25);
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
      const Duration pause = RetryBackOff(policy, row.n, standard, rng);
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
