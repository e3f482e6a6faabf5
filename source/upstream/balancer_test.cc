// Which endpoint is picked how often.
#include "source/upstream/balancer.h"

#include <catch2/catch.hpp>

#include "source/upstream/testing/endpoints.h"

namespace sluice {
namespace {

using testing::MakeEndpoint;

PickList ListOf(const std::vector<double>& weights) {
  PickList list;
  for (size_t i = 0; i < weights.size(); ++i)
    list.endpoints.push_back(MakeEndpoint(static_cast<uint32_t>(i + 1)));
  const bool even = std::all_of(weights.begin(), weights.end(),
                                [&](double weight) { return weight == weights[0]; });
  if (!even) list.weights = weights;
  return list;
}

std::vector<int> Picks(const Balancer& balancer, const PickList& list, int count) {
  std::vector<int> picks(list.endpoints.size());
  ListState state;
  Rng rng(7);
  for (int i = 0; i < count; ++i) ++picks[balancer.Pick(list, 0, state, rng)];
  return picks;
}

TEST_CASE("round robin takes each in turn, as often as its weight says") {
  CHECK(Picks(*RoundRobin(), ListOf({1, 1, 1}), 30) == std::vector<int>{10, 10, 10});
  CHECK(Picks(*RoundRobin(), ListOf({1, 3}), 40) == std::vector<int>{10, 30});
  CHECK(Picks(*RoundRobin(), ListOf({1, 2, 5}), 80) == std::vector<int>{10, 20, 50});
}

TEST_CASE("round robin spreads the picks of a heavy endpoint") {
  const PickList list = ListOf({1, 3});
  const auto balancer = RoundRobin();
  ListState state;
  Rng rng(1);
  int in_row = 0;
  for (int i = 0; i < 40; ++i) {
    in_row = balancer->Pick(list, 0, state, rng) == 1 ? in_row + 1 : 0;
    CHECK(in_row <= 4);  // equal deadlines may fall either way
  }
}

TEST_CASE("least request prefers the one with fewer requests in flight") {
  const PickList list = ListOf({1, 1});
  list.endpoints[0]->AddActive(0, 10);
  const std::vector<int> picks = Picks(*LeastRequest({}), list, 1000);
  // Both draws are the busy one in a quarter of the cases.
  CHECK(picks[0] > 150);
  CHECK(picks[0] < 350);
  CHECK(Picks(*LeastRequest({.full_scan = true}), list, 100) == std::vector<int>{0, 100});
}

TEST_CASE("a full scan takes any of those that are equally idle") {
  const PickList list = ListOf({1, 1, 1, 1});
  list.endpoints[2]->AddActive(0, 1);
  const std::vector<int> picks = Picks(*LeastRequest({.full_scan = true}), list, 900);
  CHECK(picks[2] == 0);
  for (int i : {0, 1, 3}) CHECK(picks[i] > 200);
}

TEST_CASE("least request with weights divides them by the requests in flight") {
  const PickList list = ListOf({1, 2});
  CHECK(Picks(*LeastRequest({}), list, 300) == std::vector<int>{100, 200});
  list.endpoints[1]->AddActive(0, 3);  // 2 / 4
  CHECK(Picks(*LeastRequest({}), list, 300) == std::vector<int>{200, 100});
  CHECK(Picks(*LeastRequest({.active_request_bias = 0}), list, 300) == std::vector<int>{100, 200});
}

TEST_CASE("random is even whatever the weights") {
  const std::vector<int> picks = Picks(*RandomChoice(), ListOf({1, 9}), 2000);
  CHECK(picks[0] > 800);
  CHECK(picks[1] > 800);
}

TEST_CASE("slow start grows with the time") {
  const SlowStart linear{.window = std::chrono::seconds(100)};
  const TimePoint start{};
  const auto at = [&](const SlowStart& slow, int seconds) {
    return slow.FactorAt(start + std::chrono::seconds(seconds), start);
  };
  CHECK(at(linear, 0) == Approx(0.1));
  CHECK(at(linear, 5) == Approx(0.1));
  CHECK(at(linear, 50) == Approx(0.5));
  CHECK(at(linear, 100) == 1);
  CHECK(at({.window = std::chrono::seconds(100), .aggression = 2}, 25) == Approx(0.5));
  CHECK(at({.window = std::chrono::seconds(100), .min_weight_percent = 60}, 50) == Approx(0.6));
  CHECK(at({}, 0) == 1);
}

TEST_CASE("a host in its slow start gets less") {
  PickList list = ListOf({1, 1});
  const TimePoint now = Now();
  list.endpoints[0]->stats().health.set_healthy_since(now - std::chrono::hours(2));
  list.endpoints[1]->stats().health.set_healthy_since(now);
  list.slow_until = now + std::chrono::hours(1);
  const auto balancer = RoundRobin({.slow_start = {.window = std::chrono::hours(1)}});
  CHECK(Picks(*balancer, list, 110) == std::vector<int>{100, 10});
}

}  // namespace
}  // namespace sluice
