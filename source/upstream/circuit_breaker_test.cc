// Limits over several workers, the budget of retries, the places of a host.
#include "source/upstream/circuit_breaker.h"

#include <catch2/catch.hpp>

#include "source/config/runtime_layers.h"
#include "source/upstream/testing/endpoints.h"

namespace sluice {
namespace {

TEST_CASE("a limit holds over all workers") {
  CircuitBreaker breaker({.max_connections = 3}, 2);
  CHECK(breaker.Try(Resource::kConnections, 0));
  CHECK(breaker.Try(Resource::kConnections, 0));
  CHECK(breaker.Try(Resource::kConnections, 1));
  CHECK_FALSE(breaker.Try(Resource::kConnections, 0));
  CHECK_FALSE(breaker.Try(Resource::kConnections, 1));
  CHECK(breaker.IsOpen(Resource::kConnections));
  breaker.Give(Resource::kConnections, 0);
  CHECK(breaker.Remaining(Resource::kConnections) == 1);
  CHECK(breaker.Try(Resource::kConnections, 1));
}

// A worker below its even share used not to ask what the others had.
TEST_CASE("regression: what one worker has taken beyond its share is not given to another") {
  CircuitBreaker breaker({.max_requests = 4}, 2);
  for (int i = 0; i < 4; ++i) REQUIRE(breaker.Try(Resource::kRequests, 0));
  CHECK_FALSE(breaker.Try(Resource::kRequests, 1));
  for (int i = 0; i < 4; ++i) breaker.Give(Resource::kRequests, 0);
  for (int i = 0; i < 2; ++i) REQUIRE(breaker.Try(Resource::kRequests, 1));
  for (int i = 0; i < 2; ++i) REQUIRE(breaker.Try(Resource::kRequests, 0));
  CHECK_FALSE(breaker.Try(Resource::kRequests, 0));
  CHECK_FALSE(breaker.Try(Resource::kRequests, 1));
}

TEST_CASE("a retry budget grows with the requests") {
  CircuitBreaker breaker({.max_retries = 0, .retry_budget = RetryBudget{20, 1}}, 1);
  CHECK(breaker.Try(Resource::kRetries, 0));
  CHECK_FALSE(breaker.Try(Resource::kRetries, 0));
  for (int i = 0; i < 10; ++i) REQUIRE(breaker.Try(Resource::kRequests, 0));
  CHECK(breaker.Try(Resource::kRetries, 0));
  CHECK_FALSE(breaker.Try(Resource::kRetries, 0));
  for (int i = 0; i < 5; ++i) REQUIRE(breaker.Try(Resource::kPending, 0));
  CHECK(breaker.Try(Resource::kRetries, 0));
  CHECK_FALSE(breaker.Try(Resource::kRetries, 0));
}

TEST_CASE("the runtime goes before what is configured") {
  config::Runtime runtime;
  CircuitBreaker breaker({.max_requests = 1, .max_retries = 0}, 1, &runtime, "b.");
  const auto set = [&](std::initializer_list<std::pair<const char*, const char*>> values) {
    config::RuntimeLayer layer{"l", {}};
    for (const auto& [key, text] : values) layer.values[key] = config::ParseRuntimeValue(text);
    runtime.Publish({layer});
  };
  CHECK(breaker.Try(Resource::kRequests, 0));
  CHECK_FALSE(breaker.Try(Resource::kRequests, 0));
  set({{"b.max_requests", "2"}, {"b.retry_budget.min_retry_concurrency", "1"}});
  CHECK(breaker.Try(Resource::kRequests, 0));
  CHECK_FALSE(breaker.Try(Resource::kRequests, 0));
  CHECK(breaker.thresholds().max_requests == 2);
  CHECK(breaker.Try(Resource::kRetries, 0));  // By the budget: 20 % of two, but at least one.
  CHECK_FALSE(breaker.Try(Resource::kRetries, 0));
  set({{"b.retry_budget.budget_percent", "200"}});
  CHECK(breaker.Remaining(Resource::kRetries) == 3);
  set({});
  CHECK(breaker.IsOpen(Resource::kRequests));
  CHECK_FALSE(breaker.thresholds().retry_budget.has_value());
}

TEST_CASE(
    "regression: a limit that the runtime lowers holds for workers that had their share before") {
  config::Runtime runtime;
  CircuitBreaker breaker({.max_requests = 40}, 4, &runtime, "b.");
  for (const int worker : {0, 1}) {
    for (int i = 0; i < 8; ++i) REQUIRE(breaker.Try(Resource::kRequests, worker));
  }
  config::RuntimeLayer layer{"l", {}};
  layer.values["b.max_requests"] = config::ParseRuntimeValue("12");
  layer.values["b.retry_budget.budget_percent"] = config::ParseRuntimeValue("1e300");
  runtime.Publish({layer});
  CHECK_FALSE(breaker.Try(Resource::kRequests, 2));
  CHECK(breaker.thresholds().retry_budget->percent == 10'000);
  for (int i = 0; i < 5; ++i) breaker.Give(Resource::kRequests, 0);
  CHECK(breaker.Try(Resource::kRequests, 2));
  CHECK_FALSE(breaker.Try(Resource::kRequests, 3));
}

TEST_CASE("places of a host are given back") {
  const HostStats host;
  HostPlace first = HostPlace::Try(host, 2);
  {
    const HostPlace second = HostPlace::Try(host, 2);
    CHECK(second);
    CHECK_FALSE(HostPlace::Try(host, 2));
    CHECK(host.limited_connections == 2);
  }
  HostPlace moved = std::move(first);
  CHECK(host.limited_connections == 1);
  moved = HostPlace();
  CHECK(host.limited_connections == 0);
}

}  // namespace
}  // namespace sluice
