// Who gets which hash, and that little moves when endpoints come and go.
#include "extensions/load_balancing/ring_hash/ring_hash.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "source/upstream/testing/endpoints.h"

namespace sluice {
namespace {

PickList ListOf(const Balancer& balancer, size_t size, std::vector<double> weights = {}) {
  PickList list;
  for (size_t i = 0; i < size; ++i)
    list.endpoints.push_back(testing::MakeEndpoint(static_cast<uint32_t>(i + 1)));
  list.weights = std::move(weights);
  list.table = balancer.Prepare(list);
  return list;
}

std::vector<size_t> Owners(const Balancer& balancer, const PickList& list, size_t count) {
  std::vector<size_t> owners;
  ListState state;
  Rng hashes(5), rng(6);
  for (size_t i = 0; i < count; ++i)
    owners.push_back(balancer.Pick(list, hashes() | 1, state, rng));
  return owners;
}

TEST_CASE("a hash always means the same endpoint, and all get their share") {
  stats::Store store;
  for (const bool murmur : {false, true}) {
    const auto balancer = RingHash({.minimum_size = 4096, .murmur = murmur}, {}, store.Root());
    const PickList list = ListOf(*balancer, 4);
    const std::vector<size_t> owners = Owners(*balancer, list, 4000);
    CHECK(owners == Owners(*balancer, list, 4000));
    for (size_t i = 0; i < 4; ++i) {
      const auto share = std::count(owners.begin(), owners.end(), i);
      CHECK(share > 800);
      CHECK(share < 1200);
    }
  }
  CHECK(store.Value("ring_hash_lb.size") == 4096);
  CHECK(store.Value("ring_hash_lb.min_hashes_per_host") == 1024);
  CHECK(store.Value("ring_hash_lb.max_hashes_per_host") == 1024);
}

TEST_CASE("an endpoint that comes takes its share and moves nothing else") {
  stats::Store store;
  const auto balancer = RingHash({}, {}, store.Root());
  const PickList five = ListOf(*balancer, 5);
  const std::vector<size_t> before = Owners(*balancer, ListOf(*balancer, 4), 4000);
  const std::vector<size_t> after = Owners(*balancer, five, 4000);
  size_t moved = 0, strayed = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    moved += before[i] != after[i] ? 1 : 0;
    strayed += before[i] != after[i] && after[i] != 4 ? 1 : 0;
  }
  CHECK(moved > 400);
  CHECK(moved < 1200);
  // The ring has fewer points for each: those that gave some up hand them to their neighbours.
  CHECK(strayed < 800);
}

TEST_CASE("weights") {
  stats::Store store;
  const auto balancer = RingHash({}, {}, store.Root());
  const PickList list = ListOf(*balancer, 2, {1, 3});
  const std::vector<size_t> owners = Owners(*balancer, list, 4000);
  const auto heavy = std::count(owners.begin(), owners.end(), 1u);
  CHECK(heavy > 2700);
  CHECK(heavy < 3300);
  CHECK(store.Value("ring_hash_lb.min_hashes_per_host") == 256);
  CHECK(store.Value("ring_hash_lb.max_hashes_per_host") == 768);
}

TEST_CASE("a hash_key in place of the address") {
  stats::Store store;
  const auto balancer = RingHash({}, {}, store.Root());
  PickList one, other;
  for (uint32_t i = 1; i <= 3; ++i) {
    Endpoint::Settings settings;
    settings.hash_key = Cat("key", i);
    one.endpoints.push_back(testing::MakeEndpoint(i, settings));
    other.endpoints.push_back(testing::MakeEndpoint(100 + i, settings));
  }
  one.table = balancer->Prepare(one);
  other.table = balancer->Prepare(other);
  CHECK(Owners(*balancer, one, 500) == Owners(*balancer, other, 500));
}

TEST_CASE("with bounded loads a busy endpoint passes requests on") {
  stats::Store store;
  const auto balancer = RingHash({.hashing = {.balance_factor = 125}}, {}, store.Root());
  const PickList list = ListOf(*balancer, 4);
  ListState state;
  Rng rng(1);
  const size_t owner = balancer->Pick(list, 42, state, rng);
  list.endpoints[owner]->AddActive(0, 10);
  const size_t next = balancer->Pick(list, 42, state, rng);
  CHECK(next != owner);
  CHECK(balancer->Pick(list, 42, state, rng) == next);
  for (const EndpointPtr& endpoint : list.endpoints) endpoint->AddActive(0, 10);
  list.endpoints[owner]->AddActive(0, -10);
  CHECK(balancer->Pick(list, 42, state, rng) == owner);
}

TEST_CASE("without a hash the endpoint is random") {
  stats::Store store;
  const auto balancer = RingHash({}, {}, store.Root());
  const PickList list = ListOf(*balancer, 2);
  ListState state;
  Rng rng(1);
  size_t sum = 0;
  for (int i = 0; i < 1000; ++i) sum += balancer->Pick(list, 0, state, rng);
  CHECK(sum > 300);
  CHECK(sum < 700);
}

}  // namespace
}  // namespace sluice
