// Which redirects are followed, and what becomes of the request.
#include "source/router/internal_redirect.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

struct Row {
  int status;
  const char* location;
  uint32_t count;
  bool complete;
  RedirectVerdict verdict;
};

void Fill(RequestHead& head) {
  head.method = "POST";
  head.scheme = "http";
  head.authority = "h";
  head.path = "/old?q";
  head.headers.AddCopy("x-copied", "old");
}

TEST_CASE("redirects that are followed, and those that are not", "[internal_redirect]") {
  using V = RedirectVerdict;
  const Row rows[] = {
      {302, "http://a.t/new?r#f", 0, true, V::kFollow},
      {302, "http://a.t", 0, true, V::kFollow},
      {200, "http://a.t/", 0, true, V::kNone},
      {301, "http://a.t/", 0, true, V::kNone},
      {302, "http://a.t/", 0, false, V::kIncomplete},
      {302, "http://a.t/", 2, true, V::kTooMany},
      {302, "https://a.t/", 0, true, V::kUnsafeScheme},
      {302, "/relative", 0, true, V::kBadLocation},
      {302, "ftp://a.t/", 0, true, V::kBadLocation},
      {302, "http://u@a.t/", 0, true, V::kBadLocation},
      {302, "http:///x", 0, true, V::kBadLocation},
      {302, "http://a.t/ x", 0, true, V::kBadLocation},
      {302, nullptr, 0, true, V::kBadLocation},
  };
  const InternalRedirectPolicy policy{
      .max_redirects = 2, .codes = {302, 303}, .copied_headers = {}};
  for (const Row& row : rows) {
    CAPTURE(row.status, row.location == nullptr ? "" : row.location, row.count);
    RequestHead head;
    Fill(head);
    ResponseHead response(row.status);
    if (row.location != nullptr) response.headers.AddCopy("location", row.location);
    CHECK(FollowRedirect(policy, response, row.count, row.complete, false, head) == row.verdict);
    CHECK((head.authority == "a.t") == (row.verdict == V::kFollow));
    CHECK(head.headers.Get("x-envoy-original-url").has_value() == (row.verdict == V::kFollow));
  }
}

TEST_CASE("the request that follows a redirect", "[internal_redirect]") {
  for (const int status : {302, 303}) {
    CAPTURE(status);
    RequestHead head;
    Fill(head);
    ResponseHead response(status);
    response.headers.AddCopy("location", "http://a.t:81?r");
    response.headers.AddCopy("x-copied", "new");
    const InternalRedirectPolicy policy{.codes = {302, 303},
                                        .copied_headers = {"x-copied", "x-no"}};
    REQUIRE(FollowRedirect(policy, response, 0, true, false, head) == RedirectVerdict::kFollow);
    CHECK(head.method == (status == 303 ? "GET" : "POST"));
    CHECK(head.authority == "a.t:81");
    CHECK(head.path == "/?r");
    CHECK(head.headers.Get("x-copied") == "new");
    CHECK(head.headers.Get("x-envoy-original-url") == "http://h/old?q");
  }
}

}  // namespace
}  // namespace sluice
