// How the traffic is divided between priorities and localities. The numbers of the first table are
// those of Envoy's documentation of priority levels.
#include "source/upstream/endpoint_set.h"

#include <catch2/catch.hpp>

#include "source/base/strings.h"
#include "source/upstream/testing/endpoints.h"

namespace sluice {
namespace {

using testing::MakeEndpoint;

struct Counts {
  int healthy, degraded, unhealthy;
};

EndpointList Make(const std::vector<Counts>& levels) {
  EndpointList endpoints;
  uint32_t number = 0;
  for (uint32_t priority = 0; priority < levels.size(); ++priority) {
    const Counts& counts = levels[priority];
    for (int i = 0; i < counts.healthy + counts.degraded + counts.unhealthy; ++i) {
      Endpoint::Settings settings;
      settings.priority = priority;
      auto endpoint = MakeEndpoint(++number, std::move(settings));
      HostHealth& health = endpoint->stats().health;
      if (i >= counts.healthy)
        health.Set(i < counts.healthy + counts.degraded ? HostHealth::kDegradedActiveHc
                                                        : HostHealth::kFailedActiveHc,
                   true);
      endpoints.push_back(std::move(endpoint));
    }
  }
  return endpoints;
}

std::string Loads(const EndpointList& endpoints, const EndpointSetOptions& options = {}) {
  const auto balancer = RoundRobin();
  const EndpointSet set(endpoints, options, *balancer);
  std::string text;
  for (const EndpointSet::Load& load : set.loads())
    AppendTo(&text, text.empty() ? "" : " ", load.healthy, "/", load.degraded,
             load.panic ? "!" : "");
  return text;
}

TEST_CASE("priorities take what they can carry") {
  CHECK(Loads(Make({{100, 0, 0}})) == "100/0");
  CHECK(Loads(Make({{100, 0, 0}, {100, 0, 0}})) == "100/0 0/0");
  CHECK(Loads(Make({{72, 0, 28}, {72, 0, 28}})) == "100/0 0/0");
  CHECK(Loads(Make({{71, 0, 29}, {71, 0, 29}})) == "99/0 1/0");
  CHECK(Loads(Make({{50, 0, 50}, {50, 0, 50}})) == "70/0 30/0");
  CHECK(Loads(Make({{25, 0, 75}, {100, 0, 0}})) == "35/0 65/0");
  CHECK(Loads(Make({{0, 0, 100}, {100, 0, 0}})) == "0/0 100/0");
  CHECK(Loads(Make({{25, 0, 75}, {25, 0, 75}})) == "50/0! 50/0!");
}

TEST_CASE("degraded hosts serve what the healthy ones cannot") {
  CHECK(Loads(Make({{50, 50, 0}})) == "70/30");
  CHECK(Loads(Make({{0, 100, 0}})) == "0/100");
  CHECK(Loads(Make({{0, 100, 0}, {100, 0, 0}})) == "0/0 100/0");
}

TEST_CASE("panic") {
  CHECK(Loads(Make({{49, 0, 51}})) == "100/0!");
  CHECK(Loads(Make({{50, 0, 50}})) == "100/0");
  CHECK(Loads(Make({{0, 0, 4}})) == "100/0!");
  CHECK(Loads(Make({{0, 0, 4}}), {.panic_percent = 0}) == "100/0");
  CHECK(Loads(Make({{1, 0, 3}}), {.panic_percent = 20}) == "100/0");
  // All in panic: by the number of hosts.
  CHECK(Loads(Make({{0, 0, 30}, {0, 0, 10}})) == "75/0! 25/0!");
  CHECK(Loads({}) == "100/0!");
}

TEST_CASE("overprovisioning_factor") {
  CHECK(Loads(Make({{50, 0, 50}, {100, 0, 0}}), {.overprovisioning_percent = 100}) == "50/0 50/0");
}

TEST_CASE("hosts that were never checked are not counted") {
  EndpointList endpoints = Make({{1, 0, 3}});
  for (size_t i = 1; i < 4; ++i)
    endpoints[i]->stats().health.Set(HostHealth::kPendingActiveHc, true);
  CHECK(Loads(endpoints) == "100/0");
}

TEST_CASE("draining hosts are not counted, and make no panic") {
  EndpointList endpoints = Make({{1, 0, 3}, {1, 0, 0}});
  for (size_t i = 1; i < 4; ++i) {
    endpoints[i]->stats().health.Set(HostHealth::kFailedActiveHc, false);
    endpoints[i]->stats().health.Set(HostHealth::kEdsStatusDraining, true);
  }
  CHECK(Loads(endpoints, {.overprovisioning_percent = 100}) == "100/0 0/0");
}

TEST_CASE("weighted_priority_health") {
  EndpointList endpoints;
  for (const uint32_t weight : {90, 10, 1}) {
    Endpoint::Settings settings;
    settings.weight = weight;
    settings.priority = weight == 1 ? 1 : 0;
    endpoints.push_back(MakeEndpoint(static_cast<uint32_t>(endpoints.size()) + 1, settings));
  }
  EndpointSetOptions options{.overprovisioning_percent = 100};
  endpoints[1]->stats().health.Set(HostHealth::kFailedActiveHc, true);
  CHECK(Loads(endpoints, options) == "50/0 50/0");
  options.weighted_priority_health = true;
  CHECK(Loads(endpoints, options) == "90/0 10/0");
  // Who drains does not count; panic goes by the number of hosts.
  endpoints[1]->stats().health.Set(HostHealth::kFailedActiveHc, false);
  endpoints[1]->stats().health.Set(HostHealth::kEdsStatusDraining, true);
  CHECK(Loads(endpoints, options) == "100/0 0/0");
}

std::vector<int> Picks(const EndpointSet& set, const Balancer& balancer,
                       const EndpointList& endpoints, int count) {
  std::vector<int> picks(endpoints.size());
  Rng rng(3);
  PickState state = set.NewState(0, rng);
  for (int i = 0; i < count; ++i) {
    const EndpointSet::Choice choice = set.Choose(state, rng);
    if (choice.list == nullptr) continue;
    const size_t index = balancer.Pick(*choice.list, 0, state.lists[choice.list->index], rng);
    const auto found = std::find(endpoints.begin(), endpoints.end(), choice.list->endpoints[index]);
    ++picks[found - endpoints.begin()];
  }
  return picks;
}

TEST_CASE("what is picked") {
  const auto balancer = RoundRobin();
  const EndpointList mixed = Make({{2, 0, 1}});
  CHECK(Picks(EndpointSet(mixed, {}, *balancer), *balancer, mixed, 100) ==
        std::vector<int>{50, 50, 0});
  const EndpointList panic = Make({{1, 0, 3}});
  CHECK(Picks(EndpointSet(panic, {}, *balancer), *balancer, panic, 100) ==
        std::vector<int>{25, 25, 25, 25});
  const EndpointList none = Make({{0, 0, 2}});
  CHECK(Picks(EndpointSet(none, {.panic_percent = 0}, *balancer), *balancer, none, 10) ==
        std::vector<int>{0, 0});
  const auto strict = RoundRobin({.fail_on_panic = true});
  CHECK(Picks(EndpointSet(none, {}, *strict), *strict, none, 10) == std::vector<int>{0, 0});
}

EndpointList TwoZones(uint32_t weight_a, uint32_t weight_b) {
  EndpointList endpoints;
  for (uint32_t i = 0; i < 4; ++i) {
    Endpoint::Settings settings;
    settings.zone = i < 2 ? "a" : "b";
    settings.locality_weight = i < 2 ? weight_a : weight_b;
    endpoints.push_back(MakeEndpoint(i + 1, std::move(settings)));
  }
  return endpoints;
}

TEST_CASE("localities get traffic by their weights") {
  const auto balancer = RoundRobin({.locality_weighted = true});
  const EndpointList endpoints = TwoZones(3, 1);
  CHECK(Picks(EndpointSet(endpoints, {}, *balancer), *balancer, endpoints, 80) ==
        std::vector<int>{30, 30, 10, 10});
  // Half of zone a is gone: what is left carries 0.7 of its weight.
  endpoints[0]->stats().health.Set(HostHealth::kFailedActiveHc, true);
  const std::vector<int> picks =
      Picks(EndpointSet(endpoints, {}, *balancer), *balancer, endpoints, 3100);
  CHECK(picks[0] == 0);
  CHECK(std::abs(picks[1] - 2100) < 5);
  // Without the option they are all alike.
  const auto plain = RoundRobin();
  const EndpointList again = TwoZones(3, 1);
  CHECK(Picks(EndpointSet(again, {}, *plain), *plain, again, 80) ==
        std::vector<int>{20, 20, 20, 20});
}

TEST_CASE("a locality without a weight gets nothing") {
  const auto balancer = RoundRobin({.locality_weighted = true});
  const EndpointList endpoints = TwoZones(0, 1);
  CHECK(Picks(EndpointSet(endpoints, {}, *balancer), *balancer, endpoints, 80) ==
        std::vector<int>{0, 0, 40, 40});
}

}  // namespace
}  // namespace sluice
