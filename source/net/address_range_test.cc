// Tables of ranges, and of what is in them.
#include "source/net/address_range.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

TEST_CASE("ranges") {
  struct Row {
    const char* prefix;
    uint32_t length;
    const char* literal;
    bool contains;
  };
  const Row rows[] = {
      {"10.0.0.0", 8, "10.9.9.9", true},
      {"10.0.0.0", 8, "11.0.0.0", false},
      {"10.1.2.3", 8, "10.9.9.9", true},
      {"0.0.0.0", 0, "8.8.8.8", true},
      {"0.0.0.0", 0, "2001:db8::1", false},
      {"192.0.2.128", 25, "192.0.2.127", false},
      {"192.0.2.128", 25, "192.0.2.200", true},
      {"192.0.2.1", 32, "192.0.2.1", true},
      {"192.0.2.1", 32, "192.0.2.0", false},
      {"2001:db8::", 33, "2001:db8:7fff::1", true},
      {"2001:db8::", 33, "2001:db8:8000::1", false},
      {"::1", 128, "::1", true},
      {"10.0.0.0", 8, "::ffff:10.0.0.1", true},
      {"::", 0, "10.0.0.1", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.prefix, row.length, row.literal);
    const auto range = CidrRange::Make(row.prefix, row.length);
    REQUIRE(range.ok());
    CHECK(range->Contains(*Address::Ip(row.literal, 1)) == row.contains);
  }
  CHECK_FALSE(CidrRange::Make("a.t", 8).ok());
  CHECK_FALSE(CidrRange::Make("10.0.0.0", 33).ok());
  CHECK_FALSE(CidrRange::Make("::", 129).ok());
}

TEST_CASE("a matcher of ranges, inverted, and empty") {
  AddressMatcher matcher{{*CidrRange::Make("10.0.0.0", 8), *CidrRange::Make("fc00::", 7)}, false};
  CHECK(matcher.Matches(*Address::Ip("10.0.0.1", 0)));
  CHECK(matcher.Matches(*Address::Ip("fd00::1", 0)));
  CHECK_FALSE(matcher.Matches(*Address::Ip("8.8.8.8", 0)));
  matcher.invert = true;
  CHECK_FALSE(matcher.Matches(*Address::Ip("10.0.0.1", 0)));
  CHECK(matcher.Matches(*Address::Ip("8.8.8.8", 0)));
  CHECK_FALSE(AddressMatcher{{}, true}.Matches(*Address::Ip("8.8.8.8", 0)));
}

}  // namespace
}  // namespace sluice
