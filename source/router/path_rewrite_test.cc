// Tables for path rewriting and redirects.
#include "source/router/path_rewrite.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

PathRewrite Prefix(std::string text) {
  return {.prefix = std::move(text), .regex = nullptr, .substitution = {}};
}
PathRewrite Regex(const char* pattern, std::string substitution) {
  return {.prefix = std::nullopt,
          .regex = std::make_shared<const RE2>(pattern),
          .substitution = std::move(substitution)};
}

TEST_CASE("paths are rewritten", "[rewrite]") {
  struct Row {
    PathRewrite rewrite;
    const char* path;
    size_t matched;
    const char* expected;
  };
  const Row rows[] = {
      {Prefix("/new"), "/old/x?q=1", 4, "/new/x?q=1"},
      {Prefix("/new"), "/old", 4, "/new"},
      {Prefix("/new/"), "/old/x", 5, "/new/x"},
      {Prefix("/"), "/old", 4, "/"},
      {Prefix("/"), "/old?x", 4, "/?x"},
      {Prefix(""), "/old?x", 4, "/?x"},
      {Prefix(""), "/old/x", 5, "/x"},
      {Prefix("/n"), "/o?x", 9, "/n?x"},
      {Regex("^/a/(.*)$", "/b/\\1"), "/a/c?a=/a/", 0, "/b/c?a=/a/"},
      {Regex("o", "0"), "/foo/boo?o", 0, "/f00/b00?o"},
      {Regex("/x(\\d)(\\d)", "/\\2\\1"), "/x12", 0, "/21"},
      {Regex("nothing", "z"), "/x", 0, "/x"},
      {Regex("^/.*", ""), "/x?q", 0, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path, row.rewrite.substitution);
    CHECK(RewritePath(row.rewrite, row.path, row.matched) == row.expected);
  }
}

TEST_CASE("redirects", "[rewrite]") {
  struct Row {
    const char* name;
    Redirect redirect;
    const char* authority;
    const char* expected;  // for http and /old/x?q
  };
  const auto make = [](auto change) {
    Redirect redirect;
    change(redirect);
    return redirect;
  };
  const Row rows[] = {
      {"https", make([](Redirect& r) { r.scheme = "https"; }), "h", "https://h/old/x?q"},
      {"https drops the old default port", make([](Redirect& r) { r.scheme = "https"; }), "h:80",
       "https://h/old/x?q"},
      {"https keeps another port", make([](Redirect& r) { r.scheme = "https"; }), "h:8080",
       "https://h:8080/old/x?q"},
      {"the same scheme keeps the port", make([](Redirect&) {}), "h:80", "http://h:80/old/x?q"},
      {"host", make([](Redirect& r) { r.host = "other"; }), "h:8080", "http://other/old/x?q"},
      {"port", make([](Redirect& r) { r.port = 8443; }), "h:80", "http://h:8443/old/x?q"},
      {"port of IPv6", make([](Redirect& r) { r.port = 8443; }), "[::1]:80",
       "http://[::1]:8443/old/x?q"},
      {"path keeps the query", make([](Redirect& r) { r.path = "/n"; }), "h", "http://h/n?q"},
      {"path with a query", make([](Redirect& r) { r.path = "/n?z"; }), "h", "http://h/n?z"},
      {"path, query stripped", make([](Redirect& r) { r.path = "/n", r.strip_query = true; }), "h",
       "http://h/n"},
      {"query stripped", make([](Redirect& r) { r.strip_query = true; }), "h", "http://h/old/x"},
      {"prefix", make([](Redirect& r) { r.rewrite = Prefix("/new"); }), "h", "http://h/new/x?q"},
      {"prefix, query stripped",
       make([](Redirect& r) { r.rewrite = Prefix("/new"), r.strip_query = true; }), "h",
       "http://h/new/x"},
      {"regex", make([](Redirect& r) { r.rewrite = Regex("old", "new"); }), "h",
       "http://h/new/x?q"},
      {"regex that leaves nothing", make([](Redirect& r) { r.rewrite = Regex("^/.*", ""); }), "h",
       "http://h/old/x?q"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    RequestHead head;
    head.scheme = "http";
    head.authority = row.authority;
    head.path = "/old/x?q";
    CHECK(RedirectLocation(row.redirect, head, 4) == row.expected);
  }
}

}  // namespace
}  // namespace sluice
