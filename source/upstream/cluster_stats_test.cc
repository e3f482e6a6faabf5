// How many names clients may have counted.
#include "source/upstream/cluster_stats.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

TEST_CASE("so many names of clients are counted, and none that is too long") {
  stats::Store store;
  const AnswerKinds kinds(store.Root().Sub("cluster").Sub("c"));
  const auto* first = kinds.GetAlternative("name0");
  REQUIRE(first != nullptr);
  CHECK(first->internal.name == "name0.internal");
  CHECK(kinds.GetAlternative(std::string(AnswerKinds::kLongestName + 1, 'n')) == nullptr);
  for (size_t i = 1; i < AnswerKinds::kMostNames; ++i)
    REQUIRE(kinds.GetAlternative(Cat("name", i)) != nullptr);
  CHECK(kinds.GetAlternative("one more") == nullptr);
  CHECK(kinds.GetAlternative("name0") == first);
  CHECK(kinds.Get("canary").name == "canary");
}

}  // namespace
}  // namespace sluice
