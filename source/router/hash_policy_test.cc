// Hash policies and cookies: what of a request is hashed, and which cookie a client is given.
#include "source/router/hash_policy.h"

#include <bit>

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

#include "source/base/hash.h"
#include "source/http/testing/exchange.h"
#include "source/router/cookie.h"

namespace sluice {
namespace {

std::shared_ptr<const HashPolicies> Make(const std::string& text) {
  envoy::config::route::v3::RouteAction action;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &action));
  config::Diagnostics diagnostics;
  auto made = HashPolicies::Build(action.hash_policy(), "p", diagnostics);
  REQUIRE(diagnostics.ok());
  return made;
}

std::optional<uint64_t> HashOf(const std::string& policies, HashPolicies::SetCookies* cookies) {
  RequestHead head;
  head.method = "GET";
  head.path = "/p?q=1&r=2";
  head.authority = "h";
  head.headers.AddCopy("x-user", "ann");
  head.headers.AddCopy("x-many", "b");
  head.headers.AddCopy("x-many", "a");
  head.headers.AddCopy("cookie", "s=\"quoted\"; t=plain");
  head.headers.AddCopy("cookie", "u=second; empty=");
  testing::TestExchange exchange;
  exchange.set_remote_address(Address::Ipv4(0x7f000001, 5));
  return Make(policies)->Hash(head, exchange, cookies);
}

TEST_CASE("what is hashed", "[hash_policy]") {
  struct Row {
    const char* policies;
    std::optional<uint64_t> hash;
  };
  const uint64_t ann = Hash64("ann"), one = Hash64("1");
  const Row rows[] = {
      {"hash_policy { header { header_name: 'X-User' } }", ann},
      {"hash_policy { header { header_name: 'x-none' } }", std::nullopt},
      {"hash_policy { header { header_name: 'x-many' } }", Hash64("b", Hash64("a"))},
      {"hash_policy { header { header_name: ':path' regex_rewrite { pattern { regex: '^/(.).*' } "
       "substitution: '\\\\1' } } }",
       Hash64("p")},
      {"hash_policy { cookie { name: 's' } }", Hash64("quoted")},
      {"hash_policy { cookie { name: 'u' } }", Hash64("second")},
      {"hash_policy { cookie { name: 'v' } }", std::nullopt},
      {"hash_policy { connection_properties { source_ip: true } }", Hash64("127.0.0.1")},
      {"hash_policy { query_parameter { name: 'q' } }", one},
      {"hash_policy { filter_state { key: 'none' } }", std::nullopt},
      {"hash_policy { header { header_name: 'x-user' } } hash_policy { query_parameter { name: 'q' "
       "} }",
       std::rotl(ann, 1) ^ one},
      {"hash_policy { terminal: true header { header_name: 'x-user' } } hash_policy { "
       "query_parameter { name: 'q' } }",
       ann},
      {"hash_policy { terminal: true header { header_name: 'x-none' } } hash_policy { "
       "query_parameter { name: 'q' } }",
       one},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policies);
    HashPolicies::SetCookies cookies;
    CHECK(HashOf(row.policies, &cookies) == row.hash);
    CHECK(cookies.empty());
  }
}

TEST_CASE("a client is given its cookie", "[hash_policy]") {
  const std::string given =
      "hash_policy { cookie { name: 'new' ttl { seconds: 10 } path: '/p' "
      "attributes { name: 'SameSite' value: 'Lax' } attributes { name: 'Secure' } } }";
  HashPolicies::SetCookies cookies;
  const auto hash = HashOf(given, &cookies);
  REQUIRE(cookies.size() == 1);
  const std::string value = cookies[0].substr(5, 16);
  CHECK(cookies[0] == "new=\"" + value + "\"; Max-Age=10; Path=/p; SameSite=Lax; Secure; HttpOnly");
  CHECK(hash == Hash64(value));  // So that the next request, with the cookie, goes the same way.
  CHECK(HashOf(given, nullptr) == std::nullopt);

  HashPolicies::SetCookies session;
  HashOf("hash_policy { cookie { name: 'empty' ttl {} } }", &session);
  REQUIRE(session.size() == 1);
  CHECK(session[0].ends_with("\"; HttpOnly"));
}

}  // namespace
}  // namespace sluice
