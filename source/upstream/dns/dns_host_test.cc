// Keys of the DNS cache.
#include "source/upstream/dns/dns_host.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

TEST_CASE("an authority becomes one canonical key") {
  struct Row {
    const char *authority, *key, *host;
    bool is_literal;
  };
  const Row rows[] = {
      {"a.t", "a.t:80", "a.t", false},
      {"A.T.", "a.t:80", "a.t", false},
      {"a.t:8080", "a.t:8080", "a.t", false},
      {"a.t.:8080", "a.t:8080", "a.t", false},
      {"a.t:080", "a.t:80", "a.t", false},
      {"127.0.0.1", "127.0.0.1:80", "127.0.0.1", true},
      {"127.0.0.1.", "127.0.0.1:80", "127.0.0.1", true},
      {"[::1]", "[::1]:80", "::1", true},
      {"[0:0:0::1]:443", "[::1]:443", "::1", true},
      {"[2001:DB8::A]", "[2001:db8::a]:80", "2001:db8::a", true},
      {"[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1", "::ffff:1.2.3.4", true},
      {"a.t:0", "a.t:0", "a.t", false},
      {"a.t:65535", "a.t:65535", "a.t", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.authority);
    const auto key = DnsKey::Parse(row.authority, 80);
    REQUIRE(key.has_value());
    CHECK(key->text() == row.key);
    CHECK(key->host() == row.host);
    CHECK(key->is_ip_literal() == row.is_literal);
  }
}

TEST_CASE("what is no host and port has no key") {
  for (const char* bad :
       {"",           ".",         ":80",         "a.t:",  "a.t:abc", "a.t:99999", "a.t:-1",
        "a.t:+1",     "a.t:80:80", "u@h:1",       "u:p@h", "a.t,b.t", "[::1",      "[::1]x",
        "[::1]:",     "[::1%lo]",  "[127.0.0.1]", "[a.t]", "::1",     "127.1",     "0x7f000001",
        "2130706433", "a t",       "a/b",         "a..t"}) {
    CAPTURE(bad);
    CHECK_FALSE(DnsKey::Parse(bad, 80).has_value());
  }
  CHECK_FALSE(DnsKey::Parse(std::string(300, 'a'), 80).has_value());
  CHECK_FALSE(DnsKey::Parse("[" + std::string(300, ':') + "]", 80).has_value());
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  CHECK(DnsKey::Parse(longest + ".:65535", 80)->text() == longest + ":65535");
  CHECK(DnsKey::Of("::1", 5)->text() == "[::1]:5");
}

}  // namespace
}  // namespace sluice
