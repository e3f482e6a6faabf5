// Everybody gets their share of the table and keeps it.
#include "extensions/load_balancing/maglev/maglev.h"

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

// The owner of every place of the table, in order (hash 0 means none: the last stands for it).
std::vector<size_t> Owners(const Balancer& balancer, const PickList& list, uint64_t size) {
  std::vector<size_t> owners;
  ListState state;
  Rng rng(6);
  for (uint64_t hash = 1; hash <= size; ++hash)
    owners.push_back(balancer.Pick(list, hash, state, rng));
  return owners;
}

TEST_CASE("all endpoints have equally many places") {
  stats::Store store;
  const auto balancer = Maglev({.table_size = 1009}, {}, store.Root());
  const std::vector<size_t> owners = Owners(*balancer, ListOf(*balancer, 4), 1009);
  for (size_t i = 0; i < 4; ++i) {
    const auto places = std::count(owners.begin(), owners.end(), i);
    CHECK(places >= 252);
    CHECK(places <= 253);
  }
  CHECK(store.Value("maglev_lb.min_entries_per_host") == 252);
  CHECK(store.Value("maglev_lb.max_entries_per_host") == 253);
}

TEST_CASE("or as many as their weights say") {
  stats::Store store;
  const auto balancer = Maglev({.table_size = 1009}, {}, store.Root());
  const std::vector<size_t> owners = Owners(*balancer, ListOf(*balancer, 3, {1, 2, 5}), 1009);
  for (const auto& [index, share] : {std::pair{0u, 126}, std::pair{1u, 252}, std::pair{2u, 631}}) {
    const auto places = std::count(owners.begin(), owners.end(), index);
    CHECK(std::abs(places - share) <= 2);
  }
}

TEST_CASE("the order of the endpoints is of no consequence") {
  stats::Store store;
  const auto balancer = Maglev({.table_size = 11}, {}, store.Root());
  PickList list = ListOf(*balancer, 5);
  const std::vector<size_t> owners = Owners(*balancer, list, 11);
  std::reverse(list.endpoints.begin(), list.endpoints.end());
  list.table = balancer->Prepare(list);
  const std::vector<size_t> reversed = Owners(*balancer, list, 11);
  for (size_t i = 0; i < owners.size(); ++i) CHECK(owners[i] == 4 - reversed[i]);
}

TEST_CASE("an endpoint that comes moves little") {
  stats::Store store;
  const auto balancer = Maglev({.table_size = 10007}, {}, store.Root());
  const std::vector<size_t> before = Owners(*balancer, ListOf(*balancer, 9), 10007);
  const std::vector<size_t> after = Owners(*balancer, ListOf(*balancer, 10), 10007);
  size_t strayed = 0;
  for (size_t i = 0; i < before.size(); ++i)
    strayed += before[i] != after[i] && after[i] != 9 ? 1 : 0;
  CHECK(strayed < 1000);
}

}  // namespace
}  // namespace sluice
