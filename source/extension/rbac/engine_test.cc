// Decisions about one request, by rules and by matchers.
#include "source/extension/rbac/engine.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

#include "api/envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "api/envoy/extensions/matching/input_matchers/ip/v3/ip.pb.h"
#include "api/envoy/extensions/rbac/matchers/upstream_ip_port/v3/upstream_ip_port_matcher.pb.h"
#include "api/envoy/type/matcher/v3/http_inputs.pb.h"
#include "source/http/testing/exchange.h"
#include "source/upstream/saved_address.h"

namespace sluice {
namespace {

template <class Proto>
std::unique_ptr<const RbacEngine> Compile(const std::string& text) {
  Proto config;
  CAPTURE(text);
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
  config::Diagnostics diagnostics;
  auto engine = RbacEngine::Build(config, "r", RbacBuild{diagnostics});
  INFO(diagnostics.ToString());
  REQUIRE(diagnostics.ok());
  return engine;
}

// A request to 127.0.0.1:10000 from 10.1.2.3, which speaks for 192.0.2.7.
RbacEngine::Verdict Decide(const RbacEngine& engine) {
  testing::TestExchange test;
  test.Fill();
  Exchange& exchange = test;
  auto metadata = std::make_shared<google::protobuf::Struct>();
  (*metadata->mutable_fields())["user"].set_string_value("ann");
  exchange.set_metadata("auth", metadata);
  exchange.set_filter_state(SavedAddress::kName,
                            std::make_shared<SavedAddress>(*Address::Ip("203.0.113.9", 443)));
  exchange.set_remote_address(*Address::Ip("192.0.2.7", 5));
  RequestHead head;
  head.method = "GET";
  head.authority = "h.t";
  head.path = "/a/b?q=1";
  head.headers.AddCopy("x-two", "1");
  head.headers.AddCopy("x-two", "2");
  return engine.Decide({exchange.connection(), exchange.remote_address(), &head, &exchange});
}

bool Permits(const std::string& permission) {
  return Decide(*Compile<envoy::config::rbac::v3::RBAC>(
                    Cat("policies { key: 'p' value { permissions { ", permission,
                        " } principals { any: true } } }")))
      .allowed;
}

bool Is(const std::string& principal) {
  return Decide(*Compile<envoy::config::rbac::v3::RBAC>(
                    Cat("policies { key: 'p' value { permissions { any: true } principals { ",
                        principal, " } } }")))
      .allowed;
}

TEST_CASE("permissions", "[rbac]") {
  struct Row {
    const char* permission;
    bool permits;
  };
  const Row rows[] = {
      {"any: true", true},
      {"header { name: ':method' string_match { exact: 'GET' } }", true},
      {"header { name: 'x-two' string_match { exact: '2' } }", true},
      {"header { name: 'none' present_match: true }", false},
      {"url_path { path { exact: '/a/b' } }", true},
      {"url_path { path { prefix: '/b' } }", false},
      {"destination_ip { address_prefix: '127.0.0.0' prefix_len { value: 8 } }", true},
      {"destination_ip { address_prefix: '127.0.0.2' prefix_len { value: 32 } }", false},
      {"destination_port: 10000", true},
      {"destination_port: 10001", false},
      {"destination_port_range { start: 9999 end: 10001 }", true},
      {"destination_port_range { start: 9999 end: 10000 }", false},
      {"requested_server_name { exact: 'sni.t' }", true},
      {"requested_server_name { exact: 'other.t' }", false},
      {"metadata { filter: 'auth' path { key: 'user' } value { string_match { exact: 'ann' } } }",
       true},
      {"sourced_metadata { metadata_matcher { filter: 'auth' path { key: 'user' } value { "
       "string_match { exact: 'bob' } } invert: true } }",
       true},
      {"metadata { filter: 'auth' path { key: 'user' } path { key: 'deeper' } value { "
       "present_match: true } }",
       false},
      {"not_rule { any: true }", false},
      {"not_rule { destination_port: 1 }", true},
      {"and_rules { rules { any: true } rules { destination_port: 1 } }", false},
      {"and_rules { rules { any: true } rules { destination_port: 10000 } }", true},
      {"or_rules { rules { destination_port: 2 } rules { destination_port: 10000 } }", true},
      {"or_rules { rules { destination_port: 2 } rules { destination_port: 3 } }", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.permission);
    CHECK(Permits(row.permission) == row.permits);
  }
}

TEST_CASE("permissions by the upstream's address", "[rbac]") {
  struct Row {
    const char* config;
    bool permits;
  };
  const Row rows[] = {
      {"upstream_ip { address_prefix: '203.0.113.0' prefix_len { value: 24 } }", true},
      {"upstream_ip { address_prefix: '203.0.112.0' prefix_len { value: 24 } }", false},
      {"upstream_port_range { start: 443 end: 444 }", true},
      {"upstream_port_range { start: 444 end: 500 }", false},
      {"upstream_ip { address_prefix: '203.0.113.0' prefix_len { value: 24 } } "
       "upstream_port_range { start: 80 end: 81 }",
       false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.config);
    CHECK(
        Permits(Cat("matcher { name: 'm' typed_config { "
                    "[type.googleapis.com/"
                    "envoy.extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher] { ",
                    row.config, " } } }")) == row.permits);
  }
}

TEST_CASE("principals", "[rbac]") {
  struct Row {
    const char* principal;
    bool is;
  };
  const Row rows[] = {
      {"any: true", true},
      {"remote_ip { address_prefix: '192.0.2.0' prefix_len { value: 24 } }", true},
      {"remote_ip { address_prefix: '10.0.0.0' prefix_len { value: 8 } }", false},
      {"direct_remote_ip { address_prefix: '10.0.0.0' prefix_len { value: 8 } }", true},
      {"source_ip { address_prefix: '192.0.2.0' prefix_len { value: 24 } }", false},
      {"header { name: ':authority' string_match { suffix: '.t' } }", true},
      {"url_path { path { contains: '/b' } }", true},
      {"metadata { filter: 'auth' path { key: 'user' } value { present_match: true } }", true},
      {"filter_state { key: 'envoy.stream.upstream_address' string_match { exact: "
       "'203.0.113.9:443' } }",
       true},
      {"filter_state { key: 'none' string_match { exact: '' } }", false},
      {"not_id { any: true }", false},
      {"and_ids { ids { any: true } ids { not_id { any: true } } }", false},
      {"or_ids { ids { any: true } ids { not_id { any: true } } }", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.principal);
    CHECK(Is(row.principal) == row.is);
  }
}

TEST_CASE("what the action makes of the policies", "[rbac]") {
  const std::string any = "permissions { any: true } principals { any: true }";
  const std::string none = "permissions { not_rule { any: true } } principals { any: true }";
  struct Row {
    std::string rules;
    bool allowed;
    int policy;
  };
  const Row rows[] = {
      {"action: ALLOW", false, -1},
      {"action: DENY", true, -1},
      {Cat("action: ALLOW policies { key: 'b' value { ", any, " } } policies { key: 'a' value { ",
           none, " } }"),
       true, 1},
      {Cat("action: DENY policies { key: 'b' value { ", any, " } } policies { key: 'a' value { ",
           any, " } }"),
       false, 0},
      {Cat("action: LOG policies { key: 'a' value { ", any, " } }"), true, 0},
      {Cat("action: LOG policies { key: 'a' value { ", none, " } }"), true, -1},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rules);
    const auto engine = Compile<envoy::config::rbac::v3::RBAC>(row.rules);
    const auto verdict = Decide(*engine);
    CHECK(verdict.allowed == row.allowed);
    CHECK(verdict.policy == row.policy);
    const bool log = row.rules.find("LOG") != std::string::npos;
    CHECK(verdict.log_hint == (log ? std::optional<bool>(row.policy >= 0) : std::nullopt));
  }
}

constexpr std::string_view kHttp = "type.googleapis.com/envoy.type.matcher.v3.";
constexpr std::string_view kNetwork =
    "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.";

std::string Input(std::string_view family, std::string_view type, std::string_view fields = "") {
  return Cat("input { name: 'i' typed_config { [", family, type, "] { ", fields, " } } } ");
}
std::string HeaderInput(std::string_view name) {
  return Input(kHttp, "HttpRequestHeaderMatchInput", Cat("header_name: '", name, "'"));
}
std::string Action(std::string_view name, std::string_view action = "ALLOW") {
  return Cat(
      "action { name: 'a' typed_config { [type.googleapis.com/envoy.config.rbac.v3.Action] "
      "{ name: '",
      name, "' action: ", action, " } } } ");
}

// The name of the action that a matcher comes to, with "-" before what denies; "none".
std::string Found(const std::string& matcher) {
  const auto engine = Compile<MatchTree::Proto>(matcher);
  const auto verdict = Decide(*engine);
  if (verdict.policy < 0) return "none";
  return Cat(verdict.allowed ? "" : "-", engine->names()[verdict.policy]);
}

std::string List(const std::string& predicate) {
  return Cat("matcher_list { matchers { predicate { ", predicate, " } on_match { ", Action("yes"),
             " } } } on_no_match { ", Action("no", "DENY"), " }");
}
std::string Single(const std::string& input, const std::string& match) {
  return Cat("single_predicate { ", input, match, " }");
}

TEST_CASE("inputs of matchers", "[rbac]") {
  struct Row {
    std::string input;
    const char* exact;
  };
  const Row rows[] = {
      {HeaderInput(":path"), "/a/b?q=1"},
      {HeaderInput("X-Two"), "1,2"},
      {Input(kHttp, "HttpRequestQueryParamMatchInput", "query_param: 'q'"), "1"},
      {Input(kNetwork, "DestinationIPInput"), "127.0.0.1"},
      {Input(kNetwork, "DestinationPortInput"), "10000"},
      {Input(kNetwork, "SourceIPInput"), "192.0.2.7"},
      {Input(kNetwork, "SourcePortInput"), "5"},
      {Input(kNetwork, "DirectSourceIPInput"), "10.1.2.3"},
      {Input(kNetwork, "ServerNameInput"), "sni.t"},
      {Input(kNetwork, "FilterStateInput", "key: 'envoy.stream.upstream_address'"),
       "203.0.113.9:443"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.input);
    CHECK(Found(List(Single(row.input, Cat("value_match { exact: '", row.exact, "' }")))) == "yes");
    CHECK(Found(List(Single(row.input, "value_match { exact: 'other' }"))) == "-no");
  }
}

TEST_CASE("predicates, nested matchers and maps", "[rbac]") {
  const std::string get = Single(HeaderInput(":method"), "value_match { exact: 'GET' }");
  const std::string put = Single(HeaderInput(":method"), "value_match { exact: 'PUT' }");
  CHECK(Found(List(Cat("and_matcher { predicate { ", get, " } predicate { ", put, " } }"))) ==
        "-no");
  CHECK(Found(List(Cat("or_matcher { predicate { ", put, " } predicate { ", get, " } }"))) ==
        "yes");
  CHECK(Found(List(Cat("not_matcher { ", put, " }"))) == "yes");
  const auto in_range = [](std::string_view prefix) {
    return List(Single(Input(kNetwork, "SourceIPInput"),
                       Cat("custom_match { name: 'ip' typed_config { "
                           "[type.googleapis.com/"
                           "envoy.extensions.matching.input_matchers.ip.v3.Ip] { stat_prefix: 's' "
                           "cidr_ranges { address_prefix: '",
                           prefix, "' prefix_len { value: 24 } } } } }")));
  };
  CHECK(Found(in_range("192.0.2.0")) == "yes");
  CHECK(Found(in_range("192.0.3.0")) == "-no");
  // What matches nothing inside goes on outside.
  CHECK(Found(Cat("matcher_list { matchers { predicate { ", get,
                  " } on_match { matcher { matcher_list { matchers { predicate { ", put,
                  " } on_match { ", Action("inner"), " } } } } } } } on_no_match { ",
                  Action("outer"), " }")) == "outer");
  const auto map = [](std::string_view kind, const std::string& entries) {
    return Cat("matcher_tree { ", HeaderInput(":path"), kind, " { ", entries, " } }");
  };
  const auto entry = [](std::string_view key, const std::string& on_match) {
    return Cat("map { key: '", key, "' value { ", on_match, " } } ");
  };
  CHECK(Found(map("exact_match_map", entry("/a/b?q=1", Action("exact")))) == "exact");
  CHECK(Found(map("exact_match_map", entry("/a", Action("exact")))) == "none");
  CHECK(Found(map("prefix_match_map", entry("/", Action("short")) + entry("/a/", Action("long")) +
                                          entry("/a/x", Action("other")) +
                                          entry("/b", Action("other")))) == "long");
}

TEST_CASE("mistakes are reported where they are, and nothing is built", "[rbac]") {
  envoy::config::rbac::v3::RBAC config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(
      "policies { key: 'p' value { permissions { and_rules { rules { any: true } rules { "
      "destination_ip { address_prefix: 'x' } } } } principals { header { name: 'a' string_match { "
      "safe_regex { regex: '(' } } } } } }",
      &config));
  config::Diagnostics diagnostics;
  RbacEngine::Build(config, "r", RbacBuild{diagnostics});
  REQUIRE(diagnostics.errors() == 2);
  CHECK(diagnostics.problems()[0].path ==
        "r.policies[\"p\"].permissions[0].and_rules.rules[1].destination_ip");
  CHECK(diagnostics.problems()[1].path == "r.policies[\"p\"].principals[0].header");
  // A connection has no headers.
  config::Diagnostics of_connections;
  RbacEngine::Build(
      *[] {
        static envoy::config::rbac::v3::RBAC header;
        (*header.mutable_policies())["p"].add_permissions()->mutable_header()->set_name("a");
        (*header.mutable_policies())["p"].add_principals()->set_any(true);
        return &header;
      }(),
      "r", RbacBuild{of_connections, false});
  CHECK(of_connections.errors() == 1);
}

}  // namespace
}  // namespace sluice
