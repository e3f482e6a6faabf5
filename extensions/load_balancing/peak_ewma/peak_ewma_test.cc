// Slow endpoints get less, and are not forgotten.
#include "extensions/load_balancing/peak_ewma/peak_ewma.h"

#include <catch2/catch.hpp>

#include "source/upstream/testing/endpoints.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

PickList Pair() {
  PickList list;
  for (uint32_t i = 1; i <= 2; ++i) list.endpoints.push_back(testing::MakeEndpoint(i));
  return list;
}

size_t Pick(const Balancer& balancer, const PickList& list) {
  ListState state;
  Rng rng(9);
  return balancer.Pick(list, 0, state, rng);
}

void Answer(const Balancer& balancer, const PickList& list, size_t index, Duration taken,
            bool failed = false, TimePoint now = Now()) {
  balancer.OnOutcome(list.endpoints[index]->response_time(0), taken, failed, now);
}

TEST_CASE("the faster one serves until it is busy") {
  const auto balancer = PeakEwma({}, {});
  const PickList list = Pair();
  Answer(*balancer, list, 0, milliseconds(100));
  Answer(*balancer, list, 1, milliseconds(10));
  CHECK(Pick(*balancer, list) == 1);
  list.endpoints[1]->AddActive(0, 20);
  CHECK(Pick(*balancer, list) == 0);
}

TEST_CASE("a failure counts as slow however fast it comes") {
  const auto balancer = PeakEwma({}, {});
  const PickList list = Pair();
  Answer(*balancer, list, 0, milliseconds(1), true);
  Answer(*balancer, list, 1, milliseconds(200));
  CHECK(Pick(*balancer, list) == 1);
}

TEST_CASE("peaks count at once and fade with the time") {
  const auto balancer = PeakEwma({.decay_time = std::chrono::seconds(1)}, {});
  ResponseTime time;
  const TimePoint start = Now();
  balancer->OnOutcome(time, milliseconds(10), false, start);
  CHECK(time.seconds == Approx(0.01));
  balancer->OnOutcome(time, milliseconds(500), false, start);
  CHECK(time.seconds == Approx(0.5));
  balancer->OnOutcome(time, milliseconds(10), false, start + std::chrono::seconds(1));
  CHECK(time.seconds == Approx(0.01 + 0.49 / std::exp(1.0)));
  balancer->OnOutcome(time, milliseconds(10), false, start + std::chrono::seconds(20));
  CHECK(time.seconds == Approx(0.01).margin(1e-4));
}

TEST_CASE("a slow one that was left alone is tried again") {
  const auto balancer = PeakEwma({.decay_time = std::chrono::seconds(1)}, {});
  const PickList list = Pair();
  const TimePoint long_ago = Now() - std::chrono::minutes(1);
  Answer(*balancer, list, 0, std::chrono::seconds(5), false, long_ago);
  Answer(*balancer, list, 1, milliseconds(100));
  CHECK(Pick(*balancer, list) == 0);
}

TEST_CASE("weights") {
  const auto balancer = PeakEwma({}, {});
  PickList list = Pair();
  list.weights = {1, 10};
  Answer(*balancer, list, 0, milliseconds(20));
  Answer(*balancer, list, 1, milliseconds(100));
  CHECK(Pick(*balancer, list) == 1);
}

}  // namespace
}  // namespace sluice
