// What routes and clients' headers make of a request.
#include "source/router/upstream_request.h"

#include <catch2/catch.hpp>

#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

void Fill(RequestHead& head) {
  head.method = "GET";
  head.scheme = "http";
  head.authority = "example.com";
  head.path = "/old/x?q";
}

TEST_CASE("wishes are granted to internal clients only, and taken out for all", "[wishes]") {
  for (const bool internal : {true, false}) {
    CAPTURE(internal);
    RequestHead head;
    Fill(head);
    head.headers.AddCopy("x-envoy-upstream-rq-timeout-ms", "250");
    head.headers.AddCopy("x-envoy-upstream-rq-per-try-timeout-ms", "50");
    head.headers.AddCopy("x-envoy-max-retries", "7");
    head.headers.AddCopy("x-envoy-retry-on", "5xx,nonsense");
    head.headers.AddCopy("x-envoy-retriable-status-codes", "418, 429");
    head.headers.AddCopy("x-envoy-hedge-on-per-try-timeout", "true");
    head.headers.AddCopy("x-envoy-retriable-header-names", "x-a, X-B");
    head.headers.AddCopy("x-envoy-upstream-rq-timeout-alt-response", "1");
    head.headers.AddCopy("x-envoy-upstream-alt-stat-name", "shop");
    head.headers.AddCopy("x-envoy-other", "stays");
    head.headers.AddCopy("x-other", "stays");
    if (internal) head.headers.AddCopy("x-envoy-internal", "true");
    const RequestWishes wishes = TakeWishes(head);
    CHECK(head.headers.size() == (internal ? 3u : 2u));
    CHECK(head.headers.Get("x-envoy-other") == "stays");
    CHECK(wishes.wants_retries() == internal);
    CHECK(wishes.timeout.has_value() == internal);
    CHECK(wishes.alt_stat_name == (internal ? "shop" : ""));
    if (!internal) continue;
    CHECK(wishes.timeout == milliseconds(250));
    CHECK(wishes.per_try_timeout == milliseconds(50));
    CHECK(wishes.max_retries == 7u);
    CHECK(wishes.retry_on == RetryPolicy::k5xx);
    CHECK(wishes.status_codes == std::vector<uint32_t>{418, 429});
    CHECK(wishes.headers.size() == 2);
    CHECK(wishes.no_content_on_timeout);
  }
}

TEST_CASE("wishes lie on top of the route's policy", "[wishes]") {
  RetryPolicy policy;
  policy.on = RetryPolicy::kReset;
  policy.max_retries = 3;
  policy.per_try_timeout = milliseconds(10);
  CHECK(WithWishes(&policy, {}).max_retries == 3);
  CHECK(WithWishes(&policy, {}).on == RetryPolicy::kReset);
  RequestWishes wishes;
  wishes.retry_on = RetryPolicy::k5xx;
  wishes.max_retries = 5;
  const RetryPolicy both = WithWishes(&policy, wishes);
  CHECK(both.on == (RetryPolicy::kReset | RetryPolicy::k5xx));
  CHECK(both.max_retries == 5);
  CHECK(both.per_try_timeout == milliseconds(10));
  CHECK(WithWishes(nullptr, wishes).on == RetryPolicy::k5xx);
}

// A head has views into its route.
const Route kPlain;

TEST_CASE("a plain route leaves a request as it is", "[prepare]") {
  testing::TestExchange exchange;
  RequestHead head;
  Fill(head);
  PrepareRequest(kPlain, {.global = milliseconds(15000)}, false, head, exchange);
  CHECK(head.headers.size() == 1);
  CHECK(head.headers.Get(HeaderId::kXEnvoyExpectedRqTimeoutMs) == "15000");
  CHECK(head.path == "/old/x?q");
  CHECK(head.authority == "example.com");

  for (const bool suppress : {true, false}) {
    RequestHead other;
    Fill(other);
    const Duration timeout = suppress ? Duration(milliseconds(15000)) : Duration::zero();
    PrepareRequest(kPlain, {.global = timeout}, suppress, other, exchange);
    CHECK(other.headers.empty());
  }
  RequestHead wished;
  Fill(wished);
  PrepareRequest(kPlain, {.global = milliseconds(250)}, false, wished, exchange);
  CHECK(wished.headers.Get(HeaderId::kXEnvoyExpectedRqTimeoutMs) == "250");
}

TEST_CASE("the time that an attempt may take", "[prepare]") {
  using T = RequestTimeouts;
  struct Row {
    RequestTimeouts timeouts;
    int elapsed;
    const char* expected;  // null: not there
  };
  const Row rows[] = {
      {T{milliseconds(900), milliseconds(100)}, 0, "100"},
      {T{milliseconds(900), {}}, 100, "800"},
      {T{milliseconds(900), milliseconds(500)}, 700, "200"},
      {T{milliseconds(900), milliseconds(500)}, 5000, "1"},
      {T{{}, milliseconds(500)}, 5000, "500"},
      {T{}, 5, nullptr},
  };
  for (const Row& row : rows) {
    RequestHead head;
    Route route;
    route.request_attempt_count = route.timeout_retry_header = true;
    PrepareRetry(route, row.timeouts, milliseconds(row.elapsed), row.elapsed == 100, false, 3,
                 head);
    CHECK(head.headers.Get(HeaderId::kXEnvoyAttemptCount) == "3");
    CHECK(head.headers.Get("x-envoy-is-timeout-retry") == (row.elapsed == 100 ? "true" : "false"));
    const auto value = head.headers.Get(HeaderId::kXEnvoyExpectedRqTimeoutMs);
    REQUIRE(value.has_value() == (row.expected != nullptr));
    if (row.expected != nullptr) CHECK(*value == row.expected);
  }
}

TEST_CASE("what a gRPC request asks for", "[wishes]") {
  struct Row {
    const char* text;
    int most;
    int result;  // in milliseconds
  };
  const Row rows[] = {{"250m", 0, 250}, {"2S", 1000, 1000}, {"", 0, 0},
                      {"", 70, 70},     {"1M", 0, 60000},   {"x", 30, 30},
                      {"5000u", 0, 5},  {"10x", 0, 0},      {"1H", 0, 3600000}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    Route route;
    route.max_grpc_timeout = milliseconds(row.most);
    RequestHead head;
    if (*row.text != 0) head.headers.AddCopy("grpc-timeout", row.text);
    CHECK(GrpcTimeout(route, head) == milliseconds(row.result));
  }
}

TEST_CASE("headers that cannot be read are named", "[wishes]") {
  const std::vector<std::string> names = {"x-envoy-max-retries", "x-envoy-retry-on"};
  RequestHead head;
  head.headers.AddCopy("x-envoy-retry-on", "5xx,reset");
  head.headers.AddCopy("x-envoy-max-retries", "3x");
  CHECK(UnreadableWish(names, head).empty());  // Nobody listens to an outsider.
  head.headers.AddCopy("x-envoy-internal", "true");
  CHECK(UnreadableWish(names, head) == "x-envoy-max-retries");
  CHECK(UnreadableWish({}, head).empty());
  head.headers.Set("x-envoy-max-retries", "3");
  CHECK(UnreadableWish(names, head).empty());
  head.headers.Set("x-envoy-retry-on", "5xx,no");
  CHECK(UnreadableWish(names, head) == "x-envoy-retry-on");
}

TEST_CASE("a policy may be for some requests only", "[wishes]") {
  RetryPolicy policy;
  RequestHead head;
  CHECK(MayRetry(policy, head));
  envoy::config::route::v3::HeaderMatcher config;
  config.set_name("x-again");
  config.set_present_match(true);
  policy.only_requests.push_back(*HeaderMatcher::Build(config));
  CHECK_FALSE(MayRetry(policy, head));
  head.headers.AddCopy("x-again", "1");
  CHECK(MayRetry(policy, head));
}

TEST_CASE("paths are rewritten, and the old one is kept in a header", "[prepare]") {
  testing::TestExchange exchange;
  Route route;
  route.matched = Route::Matched::kPrefix;
  route.matched_prefix = 4;
  route.rewrite.emplace();
  route.rewrite->prefix = "/new";
  RequestHead head;
  Fill(head);
  PrepareRequest(route, {}, false, head, exchange);
  CHECK(head.path == "/new/x?q");
  CHECK(head.headers.Get(HeaderId::kXEnvoyOriginalPath) == "/old/x?q");

  route.matched = Route::Matched::kWholePath;
  RequestHead whole;
  Fill(whole);
  PrepareRequest(route, {}, true, whole, exchange);
  CHECK(whole.path == "/new?q");
  CHECK(whole.headers.empty());

  RequestHead connect;
  connect.method = "CONNECT";
  connect.authority = "example.com:443";
  PrepareRequest(route, {}, false, connect, exchange);
  CHECK(connect.path.empty());
}

TEST_CASE("hosts are rewritten", "[prepare]") {
  struct Row {
    const char* literal;
    const char* header;
    bool append;
    const char* authority;
    const char* forwarded;  // null: not there
  };
  const Row rows[] = {
      {"", "", true, "example.com", nullptr},
      {"other", "", false, "other", nullptr},
      {"other", "", true, "other", "example.com"},
      {"", "x-to", false, "from.header", nullptr},
      {"", "x-to", true, "from.header", "example.com"},
      {"", "x-none", true, "example.com", nullptr},
      {"", "x-empty", true, "example.com", nullptr},
  };
  for (const Row& row : rows) {
    CAPTURE(row.literal, row.header, row.append);
    testing::TestExchange exchange;
    Route route;
    route.host_literal = row.literal;
    route.host_header = row.header;
    route.append_x_forwarded_host = row.append;
    RequestHead head;
    Fill(head);
    head.headers.AddCopy("x-to", "from.header");
    head.headers.AddCopy("x-empty", "");
    PrepareRequest(route, {}, false, head, exchange);
    CHECK(head.authority == row.authority);
    const bool changed = head.authority != "example.com";
    CHECK(head.headers.Get("x-envoy-original-host").has_value() == changed);
    const auto forwarded = head.headers.Get(HeaderId::kXForwardedHost);
    REQUIRE(forwarded.has_value() == (row.forwarded != nullptr));
    if (row.forwarded != nullptr) CHECK(*forwarded == row.forwarded);
  }
}

}  // namespace
}  // namespace sluice
