// URI templates: what matches, what is captured, what is made of it, and what is refused.
#include "source/router/uri_template.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

TEST_CASE("paths that a template matches", "[uri_template]") {
  struct Row {
    const char* pattern;
    const char* path;
    bool matches;
  };
  const Row rows[] = {
      {"/a", "/a", true},
      {"/a", "/a/", false},
      {"/a.b", "/aXb", false},
      {"/a/*", "/a/b", true},
      {"/a/*", "/a/", false},
      {"/a/*", "/a/b/c", false},
      {"/a/**", "/a/b/c", true},
      {"/a/**", "/a/", true},
      {"/a/**.m3u8", "/a/b/c.m3u8", true},
      {"/a/**.m3u8", "/a/b/c.mp4", false},
      {"/{x}/b", "/a/b", true},
      {"/{x=v1/*}/b", "/v1/a/b", true},
      {"/{x=v1/*}/b", "/v2/a/b", false},
      {"/*.jpg", "/a.jpg", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pattern, row.path);
    const auto pattern = UriTemplate::Parse(row.pattern);
    REQUIRE(pattern.ok());
    CHECK((*pattern)->Matches(row.path) == row.matches);
  }
}

TEST_CASE("templates that make no sense", "[uri_template]") {
  for (const char* text : {"", "a", "/{x", "/{}", "/{1x}", "/{x=}", "/{x}/{x}", "/**/*", "/**/{x}",
                           "/***", "/a}b", "/a//b", "/a?b", "/{a}/{b}/{c}/{d}/{e}/{f}"}) {
    CAPTURE(text);
    CHECK_FALSE(UriTemplate::Parse(text).ok());
  }
}

TEST_CASE("rewrites", "[uri_template]") {
  const auto match = *UriTemplate::Parse("/{user}/{rest=**}.m");
  struct Row {
    const char* rewrite;
    const char* result;  // null: refused
  };
  const Row rows[] = {
      {"/{rest}/x/{user}", "/two/three/x/one"},
      {"/{user}{user}", "/oneone"},
      {"/fixed", "/fixed"},
      {"{user}", nullptr},
      {"/{other}", nullptr},
      {"/{user", nullptr},
      {"/*", nullptr},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rewrite);
    const auto rewrite = UriTemplateRewrite::Parse(row.rewrite, match);
    REQUIRE(rewrite.ok() == (row.result != nullptr));
    if (!rewrite.ok()) continue;
    CHECK((*rewrite)->Rewrite("/one/two/three.m") == row.result);
    CHECK((*rewrite)->Rewrite("/else") == "/else");
  }
}

}  // namespace
}  // namespace sluice
