// Tables for finding a virtual host by name.
#include "source/router/domain_table.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

DomainTable Make(const std::vector<std::string>& domains) {
  DomainTable table;
  for (size_t i = 0; i < domains.size(); ++i)
    REQUIRE(table.Add(domains[i], static_cast<uint32_t>(i)).ok());
  return table;
}

TEST_CASE("the most specific domain wins", "[domains]") {
  const std::vector<std::string> domains = {"example.com",     "example.com:8080", "*.example.com",
                                            "*.b.example.com", "example.*",        "example.c*",
                                            "any.port:*",      "*.any.port:*",     "*:443",
                                            "*-x.org",         "[::1]:80",         "*"};
  const DomainTable table = Make(domains);
  struct Row {
    const char* host;
    const char* domain;
  };
  const Row rows[] = {
      {"example.com", "example.com"},
      {"EXAMPLE.Com", "example.com"},
      {"example.com:8080", "example.com:8080"},
      {"example.com:80", "example.c*"},
      {"a.example.com", "*.example.com"},
      {"a.b.example.com", "*.b.example.com"},
      {".example.com", "*"},
      {"A.B.EXAMPLE.COM", "*.b.example.com"},
      {"example.org", "example.*"},
      {"example.cx", "example.c*"},
      {"example.", "*"},
      {"any.port", "*"},
      {"any.port:1", "any.port:*"},
      {"any.port:443", "*:443"},  // a suffix beats a prefix
      {"a.any.port:1", "*.any.port:*"},
      {"a.any.port:443", "*.any.port:*"},
      {"a.any.port", "*"},
      {"a.any.port:", "*"},
      {".any.port:80", "*"},
      {"other:443", "*:443"},
      {"a-x.org", "*-x.org"},
      {"-x.org", "*"},
      {"[::1]:80", "[::1]:80"},
      {"[::1]:443", "*:443"},
      {"", "*"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.host);
    const auto found = table.Find(row.host);
    REQUIRE(found.has_value());
    CHECK(domains[*found] == row.domain);
  }
  const std::string long_host = std::string(300, 'A') + ".EXAMPLE.COM";
  CHECK(domains[*table.Find(long_host)] == "*.example.com");
}

TEST_CASE("a host that no domain covers has no virtual host", "[domains]") {
  const DomainTable table = Make({"h", "*.t"});
  CHECK_FALSE(table.Find("h:80").has_value());
  CHECK_FALSE(table.Find("t").has_value());
  CHECK_FALSE(table.Find("").has_value());
  CHECK_FALSE(DomainTable().Find("h").has_value());
}

TEST_CASE("ports may be ignored", "[domains]") {
  DomainTable table = Make({"h", "*.t", "[::1]"});
  table.set_ignore_port(true);
  CHECK(table.Find("h:443") == 0u);
  CHECK(table.Find("a.t:1") == 1u);
  CHECK(table.Find("[::1]:80") == 2u);
  CHECK(table.Find("h") == 0u);
}

TEST_CASE("domains that cannot be", "[domains]") {
  for (const char* domain : {"", "a*b", "*a*", "**", "*.a.*", "a.*:*"}) {
    CAPTURE(domain);
    DomainTable table;
    CHECK_FALSE(table.Add(domain, 0).ok());
  }
  for (const char* domain : {"h", "*", "*.h", "h.*", "*.h:*", "h:*"}) {
    CAPTURE(domain);
    DomainTable table;
    CHECK(table.Add(domain, 0).ok());
    CHECK_THAT(std::string(table.Add(domain, 1).message()), Catch::Contains("duplicate domain"));
  }
  DomainTable table;
  CHECK(table.Add("Example.com", 0).ok());
  CHECK_FALSE(table.Add("example.COM", 1).ok());
}

}  // namespace
}  // namespace sluice
