// Families in turn.
#include "source/upstream/address_order.h"

#include <catch2/catch.hpp>

#include "source/base/strings.h"

namespace sluice {
namespace {

std::string Ordered(const std::vector<std::string>& literals, const AddressOrder& order = {}) {
  std::vector<Address> addresses;
  for (const std::string& literal : literals) addresses.push_back(*Address::Ip(literal, 1));
  std::string text;
  for (const Address& address : InOrder(addresses, order))
    AppendTo(&text, text.empty() ? "" : " ", address.IpString());
  return text;
}

TEST_CASE("families take turns, beginning with that of the first address") {
  CHECK(Ordered({"::1", "::2", "1.1.1.1", "2.2.2.2"}) == "::1 1.1.1.1 ::2 2.2.2.2");
  CHECK(Ordered({"1.1.1.1", "::1", "::2", "::3"}) == "1.1.1.1 ::1 ::2 ::3");
  CHECK(Ordered({"1.1.1.1", "2.2.2.2"}) == "1.1.1.1 2.2.2.2");
  CHECK(Ordered({}).empty());
}

TEST_CASE("or with the configured one, and so many of it") {
  CHECK(Ordered({"::1", "1.1.1.1"}, {.first_family = AF_INET}) == "1.1.1.1 ::1");
  CHECK(Ordered({"::1", "::2", "::3", "1.1.1.1", "2.2.2.2"}, {.first_count = 2}) ==
        "::1 ::2 1.1.1.1 ::3 2.2.2.2");
  CHECK(Ordered({"::1", "::2"}, {.first_family = AF_INET}) == "::1 ::2");
}

}  // namespace
}  // namespace sluice
