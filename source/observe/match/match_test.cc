// Tables for every matcher.
#include "source/observe/match/match.h"

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

namespace sluice {
namespace {

namespace v3 = envoy::config::route::v3;

template <class Message>
Message Parse(const std::string& text) {
  Message message;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

TEST_CASE("string matchers", "[match]") {
  struct Row {
    const char* matcher;
    const char* text;
    bool matches;
  };
  const Row rows[] = {
      {"exact: 'ab'", "ab", true},
      {"exact: 'ab'", "AB", false},
      {"exact: 'ab'", "abc", false},
      {"exact: ''", "", true},
      {"exact: 'aB' ignore_case: true", "Ab", true},
      {"prefix: 'ab'", "abc", true},
      {"prefix: 'ab'", "a", false},
      {"prefix: 'AB' ignore_case: true", "abc", true},
      {"prefix: 'AB' ignore_case: true", "a", false},
      {"suffix: 'bc'", "abc", true},
      {"suffix: 'bc'", "c", false},
      {"suffix: 'BC' ignore_case: true", "abc", true},
      {"contains: 'b'", "abc", true},
      {"contains: 'B'", "abc", false},
      {"contains: 'B' ignore_case: true", "abc", true},
      {"contains: 'x' ignore_case: true", "abc", false},
      {"safe_regex { regex: 'a.c' }", "abc", true},
      {"safe_regex { regex: 'a.c' }", "abcd", false},
      {"safe_regex { regex: '(?i)a.c' }", "ABC", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.matcher, row.text);
    auto matcher =
        StringMatcher::Build(Parse<envoy::type::matcher::v3::StringMatcher>(row.matcher));
    REQUIRE(matcher.ok());
    CHECK(matcher->Matches(row.text) == row.matches);
  }
}

TEST_CASE("string matchers that cannot be", "[match]") {
  using Config = envoy::type::matcher::v3::StringMatcher;
  CHECK_FALSE(StringMatcher::Build(Config()).ok());
  CHECK_FALSE(
      StringMatcher::Build(Parse<Config>("safe_regex { regex: 'a' } ignore_case: true")).ok());
  const auto bad = StringMatcher::Build(Parse<Config>("safe_regex { regex: '(' }"));
  CHECK(bad.status().message() == "bad regular expression: missing ): (");
}

TEST_CASE("header matchers", "[match]") {
  RequestHead head;
  head.method = "GET";
  head.scheme = "http";
  head.authority = "example.com:80";
  head.path = "/p?q";
  head.headers.AddCopy("x-a", "1");
  head.headers.AddCopy("x-list", "a");
  head.headers.AddCopy("x-list", "b");
  head.headers.AddCopy("accept", "a");
  head.headers.AddCopy("accept", "b");
  head.headers.AddCopy("x-empty", "");
  head.headers.AddCopy("x-number", "-7");
  struct Row {
    const char* matcher;
    bool matches;
  };
  const Row rows[] = {
      {"name: 'x-a'", true},
      {"name: 'X-A' present_match: true", true},
      {"name: 'x-b' present_match: true", false},
      {"name: 'x-b' present_match: false", true},
      {"name: 'x-a' present_match: false", false},
      {"name: 'x-b' present_match: true invert_match: true", true},
      {"name: 'x-empty' present_match: true", true},
      {"name: 'x-a' string_match { exact: '1' }", true},
      {"name: 'x-a' string_match { exact: '1' } invert_match: true", false},
      {"name: 'x-a' string_match { exact: '2' } invert_match: true", true},
      {"name: 'x-b' string_match { exact: '2' } invert_match: true", false},
      {"name: 'x-b' string_match { exact: '2' } invert_match: true treat_missing_header_as_empty: "
       "true",
       true},
      {"name: 'x-b' string_match { exact: '' } treat_missing_header_as_empty: true", true},
      {"name: 'x-list' string_match { exact: 'a,b' }", false},
      {"name: 'x-list' string_match { exact: 'a' }", true},
      {"name: 'x-list' string_match { exact: 'b' }", true},
      {"name: 'x-list' string_match { exact: 'b' } invert_match: true", false},
      {"name: 'x-list' string_match { exact: 'c' } invert_match: true", true},
      {"name: 'x-list' present_match: false", false},
      {"name: 'accept' string_match { exact: 'a,b' }", true},
      {"name: 'accept' string_match { exact: 'a' }", false},
      {"name: 'x-a' exact_match: '1'", true},
      {"name: 'accept' prefix_match: 'a,'", true},
      {"name: 'accept' suffix_match: ',b'", true},
      {"name: 'x-list' contains_match: ','", false},
      {"name: 'x-list' safe_regex_match { regex: '[ab,]+' }", true},
      {"name: 'x-number' range_match { start: -10 end: 0 }", true},
      {"name: 'x-number' range_match { start: -7 end: -6 }", true},
      {"name: 'x-number' range_match { start: -10 end: -7 }", false},
      {"name: 'x-list' range_match { start: -10 end: 10 }", false},
      {"name: 'x-list' range_match { start: -10 end: 10 } invert_match: true", true},
      {"name: ':method' string_match { exact: 'GET' }", true},
      {"name: ':authority' string_match { prefix: 'example.com' }", true},
      {"name: 'host' string_match { suffix: ':80' }", true},
      {"name: ':path' string_match { exact: '/p?q' }", true},
      {"name: ':scheme' string_match { exact: 'https' }", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.matcher);
    auto matcher = HeaderMatcher::Build(Parse<v3::HeaderMatcher>(row.matcher));
    REQUIRE(matcher.ok());
    CHECK(matcher->Matches(head) == row.matches);
  }
  CHECK_FALSE(
      HeaderMatcher::Build(Parse<v3::HeaderMatcher>("name: 'x' safe_regex_match { regex: '[' }"))
          .ok());
}

TEST_CASE("query parameter matchers", "[match]") {
  struct Row {
    const char* matcher;
    const char* path;
    bool matches;
  };
  const Row rows[] = {
      {"name: 'a'", "/?a=1", true},
      {"name: 'a'", "/?a", true},
      {"name: 'a'", "/?ab=1", false},
      {"name: 'a'", "/a", false},
      {"name: 'a' present_match: true", "/?b&a", true},
      {"name: 'a' present_match: false", "/?b", true},
      {"name: 'a' string_match { exact: '1' }", "/?b=2&a=1&a=2", true},
      {"name: 'a' string_match { exact: '2' }", "/?b=2&a=1&a=2", false},
      {"name: 'a' string_match { exact: '' }", "/?a", true},
      {"name: 'a' string_match { exact: 'x=y' }", "/?a=x=y", true},
      {"name: 'a' string_match { exact: '' }", "/?b", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.matcher, row.path);
    auto matcher = QueryMatcher::Build(Parse<v3::QueryParameterMatcher>(row.matcher));
    REQUIRE(matcher.ok());
    CHECK(matcher->Matches(row.path) == row.matches);
  }
}

}  // namespace
}  // namespace sluice
