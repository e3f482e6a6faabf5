// An exchange for tests of logs and formats: no session, every fact settable. Test threads only.
#pragma once

#include <memory>

#include "source/http/exchange.h"

namespace sluice::testing {

namespace exchange_internal {
struct Surroundings {
  Worker worker{0, 1};
  Scope scope;
  Canceller canceller;
  ConnectionFacts connection;
  RouteBase route;
  ResponseHead response{200};
  Arena trailer_arena;
  Headers trailers{trailer_arena};
};
}  // namespace exchange_internal

class TestExchange : private exchange_internal::Surroundings, public Exchange {
 public:
  TestExchange()
      : Exchange(Surroundings::worker, Surroundings::scope, Surroundings::canceller,
                 Surroundings::connection) {}

  Task<absl::Status> SendInterim(ResponseHeadPtr) override { co_return absl::OkStatus(); }
  void LimitIdle(Duration) override {}
  void LimitDuration(Duration) override {}
  void Touch() override {}

  /// Sets everything that an operator can print to a known value.
  void Fill();

  ResponseHead& response() { return Surroundings::response; }
};

}  // namespace sluice::testing
