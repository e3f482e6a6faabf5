// What needs no server: names, literals, the order of addresses.
#include "source/net/resolver.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

AddressWithTtl A(std::string_view literal) {
  return {*Address::Ip(literal, 0), std::chrono::seconds(1)};
}

TEST_CASE("which names may be asked for") {
  for (const char* good : {"a", "a.b.", "xn--80ak6aa92e.com", "_dns.x-y.t", "1.example", "a1",
                           "3com", "0x.t", "127.0.0.1.in-addr.arpa"}) {
    CAPTURE(good);
    CHECK(IsResolvableName(good));
  }
  const std::string label(63, 'a');
  CHECK(IsResolvableName(label + "." + label + "." + label + "." + std::string(61, 'a')));
  CHECK_FALSE(IsResolvableName(label + "." + label + "." + label + "." + std::string(62, 'a')));
  CHECK_FALSE(IsResolvableName(label + "a"));
  for (const char* bad : {"",
                          ".",
                          "..",
                          "a..b",
                          ".a",
                          "a b",
                          "a:80",
                          "u@h",
                          "a/b",
                          "a,b",
                          "*.t",
                          "a%2e",
                          "\xe2\x91\xa0.t",
                          "127.1",
                          "2130706433",
                          "0x7f000001",
                          "0x7f.1",
                          "0177.0.0.01",
                          "1.2.3.4.5",
                          "a.0x",
                          "a.1.",
                          "a\nb"}) {
    CAPTURE(bad);
    CHECK_FALSE(IsResolvableName(bad));
  }
}

TEST_CASE("a literal is its own answer") {
  for (const char* literal : {"127.0.0.1", "::1", "2001:db8::7", "::ffff:1.2.3.4"}) {
    CAPTURE(literal);
    const auto answer = LiteralAnswer(literal);
    REQUIRE(answer.has_value());
    CHECK(answer->addresses.at(0).address == *Address::Ip(literal, 0));
    CHECK(answer->details == "cares_success:Successful_completion");
  }
  for (const char* other :
       {"", "a.t", "127.1", "127.0.0.01", "fe80::1%lo", "[::1]", "1.2.3.4.", "::g"}) {
    CAPTURE(other);
    CHECK_FALSE(LiteralAnswer(other).has_value());
  }
}

TEST_CASE("interleaving alternates, keeps the order, drops duplicates, is bounded") {
  const auto mixed =
      Interleave({A("1.1.1.1"), A("1.1.1.2"), A("1.1.1.1"), A("::1"), A("::2"), A("1.1.1.3")});
  std::string text;
  for (const auto& a : mixed) text += a.address.IpString() + " ";
  CHECK(text == "::1 1.1.1.1 ::2 1.1.1.2 1.1.1.3 ");
  std::vector<AddressWithTtl> many;
  for (int i = 0; i < 200; ++i)
    many.push_back({Address::Ipv4(0x01000000u + static_cast<uint32_t>(i), 0), {}});
  CHECK(Interleave(many).size() == DnsAnswer::kMaxAddresses);
  CHECK(Interleave({}).empty());
}

}  // namespace
}  // namespace sluice
