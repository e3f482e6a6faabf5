// Limits over several workers, the budget of retries, the places of a host.
#include "source/upstream/circuit_breaker.h"

#include <catch2/catch.hpp>

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
