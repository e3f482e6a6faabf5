// Tables for adding, overwriting and removing headers, and for what a configuration may not ask
// for.
#include "source/observe/format/header_edits.h"

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

#include "api/envoy/config/route/v3/route.pb.h"
#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

// The request fields of a route configuration serve as a carrier of both lists.
HeaderEdits BuildRequest(const std::string& text, config::Diagnostics& diagnostics) {
  envoy::config::route::v3::RouteConfiguration config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
  return HeaderEdits::Build(config.request_headers_to_add(), config.request_headers_to_remove(),
                            "r", "request_headers_to_add", "request_headers_to_remove",
                            diagnostics);
}

std::string Print(const Headers& headers) {
  std::string out;
  for (const Header& header : headers) AppendTo(&out, header.name, "=", header.value, " ");
  return out;
}

struct EditRow {
  const char* edits;
  const char* result;  // of a: 1, b: 2
};

void CheckEdits(absl::Span<const EditRow> rows) {
  for (const EditRow& row : rows) {
    CAPTURE(row.edits);
    config::Diagnostics diagnostics;
    const HeaderEdits edits = BuildRequest(row.edits, diagnostics);
    CAPTURE(diagnostics.ToString());
    REQUIRE(diagnostics.ok());
    testing::TestExchange exchange;
    exchange.set_request_head(std::make_unique<RequestHead>());
    exchange.request_head()->method = "PUT";
    Headers& headers = exchange.request_head()->headers;
    headers.AddCopy("a", "1");
    headers.AddCopy("b", "2");
    edits.Apply(headers, exchange);
    CHECK(Print(headers) == row.result);
  }
}

TEST_CASE("header edits", "[header_edits]") {
  const EditRow rows[] = {
      {"", "a=1 b=2 "},
      {"request_headers_to_add { header { key: 'C' value: '3' } }", "a=1 b=2 c=3 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } }", "a=1 b=2 a=3 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } append { value: true } }",
       "a=1 b=2 a=3 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } append { value: false } }",
       "a=3 b=2 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } append_action: "
       "OVERWRITE_IF_EXISTS_OR_ADD }",
       "a=3 b=2 "},
      {"request_headers_to_add { header { key: 'c' value: '3' } append_action: "
       "OVERWRITE_IF_EXISTS_OR_ADD }",
       "a=1 b=2 c=3 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } append_action: ADD_IF_ABSENT }",
       "a=1 b=2 "},
      {"request_headers_to_add { header { key: 'c' value: '3' } append_action: ADD_IF_ABSENT }",
       "a=1 b=2 c=3 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } append_action: OVERWRITE_IF_EXISTS "
       "}",
       "a=3 b=2 "},
      {"request_headers_to_add { header { key: 'c' value: '3' } append_action: OVERWRITE_IF_EXISTS "
       "}",
       "a=1 b=2 "},
      {"request_headers_to_add { header { key: 'c' value: '' } }", "a=1 b=2 "},
      {"request_headers_to_add { header { key: 'c' value: '' } keep_empty_value: true }",
       "a=1 b=2 c= "},
      {"request_headers_to_remove: 'A'", "b=2 "},
      {"request_headers_to_remove: 'a' request_headers_to_add { header { key: 'a' value: '3' } }",
       "b=2 a=3 "},
      {"request_headers_to_add { header { key: 'c' value: '100%%' } }", "a=1 b=2 c=100% "},
      {"request_headers_to_add { header { key: 'c' value: 'x-%PROTOCOL%' } }",
       "a=1 b=2 c=x-HTTP/1.1 "},
      {"request_headers_to_add { header { key: 'c' value: '%REQ(nothing)%' } }", "a=1 b=2 "},
      {"request_headers_to_add { header { key: 'c' value: '%REQ(:method)%' } }", "a=1 b=2 c=PUT "},
  };
  CheckEdits(rows);
}

TEST_CASE("header edits of one list do not see one another", "[header_edits]") {
  const EditRow rows[] = {
      {"request_headers_to_add { header { key: 'a' value: '%REQ(b)%' } append { value: false } } "
       "request_headers_to_add { header { key: 'b' value: '%REQ(a)%' } append { value: false } }",
       "a=2 b=1 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } append { value: false } } "
       "request_headers_to_add { header { key: 'old' value: '%REQ(a)%' } }",
       "a=3 b=2 old=1 "},
      {"request_headers_to_remove: 'a' "
       "request_headers_to_add { header { key: 'c' value: '%REQ(a)%' } keep_empty_value: true } "
       "request_headers_to_add { header { key: 'd' value: '%REQ(b)%' } }",
       "b=2 c= d=2 "},
      {"request_headers_to_add { header { key: 'a' value: '3' } } "
       "request_headers_to_add { header { key: 'a' value: '4' } append { value: false } }",
       "a=4 b=2 a=3 "},
      {"request_headers_to_add { header { key: 'c' value: '3' } } "
       "request_headers_to_add { header { key: 'c' value: '4' } append_action: ADD_IF_ABSENT }",
       "a=1 b=2 c=3 c=4 "},
  };
  CheckEdits(rows);
}

TEST_CASE("header edits that cannot be", "[header_edits]") {
  struct Row {
    const char* edits;
    const char* path;
    const char* message;
  };
  const Row rows[] = {
      {"request_headers_to_remove: 'host'", "r.request_headers_to_remove[0]", "host"},
      {"request_headers_to_remove: 'a' request_headers_to_remove: ':path'",
       "r.request_headers_to_remove[1]", "':'-prefixed"},
      {"request_headers_to_remove: ''", "r.request_headers_to_remove[0]", "not a header name"},
      {"request_headers_to_add { header { key: ':path' value: '/' } }",
       "r.request_headers_to_add[0].header.key", "':'-prefixed"},
      {"request_headers_to_add { header { key: 'a b' value: '/' } }",
       "r.request_headers_to_add[0].header.key", "not a header name"},
      {"request_headers_to_add { header { key: 'a' value: 'x\\r\\ny: z' } }",
       "r.request_headers_to_add[0].header.value", "CR, LF"},
      {"request_headers_to_add { header { key: 'Transfer-Encoding' value: 'chunked' } }",
       "r.request_headers_to_add[0].header.key", "decided by the proxy"},
      {"request_headers_to_add { header { key: 'a' value: '%NOPE%' } }",
       "r.request_headers_to_add[0].header.value", "NOPE"},
      {"request_headers_to_add { header { key: 'a' value: '50% off' } }",
       "r.request_headers_to_add[0].header.value", "%"},
      {"request_headers_to_add { header { key: 'a' value: 'b' } append { value: true } "
       "append_action: ADD_IF_ABSENT }",
       "r.request_headers_to_add[0].append", "exclude"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.edits);
    config::Diagnostics diagnostics;
    BuildRequest(row.edits, diagnostics);
    REQUIRE(diagnostics.errors() == 1);
    CHECK(diagnostics.problems()[0].path == row.path);
    CHECK_THAT(diagnostics.problems()[0].message, Catch::Contains(row.message));
  }
}

TEST_CASE("values of a response's edits see the response", "[header_edits]") {
  config::Diagnostics diagnostics;
  const HeaderEdits edits = BuildRequest(
      "request_headers_to_add { header { key: 'copy' value: '%RESP(server)%' } }", diagnostics);
  REQUIRE(diagnostics.ok());
  testing::TestExchange exchange;
  ResponseHead response(200);
  response.headers.AddCopy("server", "origin");
  edits.Apply(response, exchange);
  CHECK(response.headers.Get("copy") == "origin");
  CHECK(exchange.response_head() == nullptr);
}

TEST_CASE("mutations run in the order of their list", "[header_edits]") {
  envoy::config::common::mutation_rules::v3::HeaderMutation add, remove;
  add.mutable_append()->mutable_header()->set_key("a");
  add.mutable_append()->mutable_header()->set_value("3");
  remove.set_remove("a");
  HeaderEdits::Mutations list;
  *list.Add() = add;
  *list.Add() = remove;
  *list.Add() = add;
  config::Diagnostics diagnostics;
  const HeaderEdits edits = HeaderEdits::Build(list, "m", diagnostics);
  REQUIRE(diagnostics.ok());
  testing::TestExchange exchange;
  RequestHead head;
  head.headers.AddCopy("a", "1");
  edits.Apply(head.headers, exchange);
  CHECK(Print(head.headers) == "a=3 ");

  list.Mutable(1)->set_remove("host");
  HeaderEdits::Build(list, "m", diagnostics);
  REQUIRE(diagnostics.errors() == 1);
  CHECK(diagnostics.problems()[0].path == "m[1].remove");
}

}  // namespace
}  // namespace sluice
