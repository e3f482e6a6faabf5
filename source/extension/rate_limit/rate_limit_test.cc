// What each action makes of a request.
#include "source/extension/rate_limit/rate_limit.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

#include "source/base/strings.h"
#include "source/http/testing/exchange.h"

namespace sluice {
namespace {

RateLimits Compile(const std::string& text) {
  envoy::config::route::v3::VirtualHost host;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &host));
  config::Diagnostics diagnostics;
  RateLimits limits = RateLimits::Build(host.rate_limits(), "v.rate_limits", "own", diagnostics);
  REQUIRE(diagnostics.ok());
  return limits;
}

// "key=value,key=value;" for each descriptor.
std::string Describe(const RateLimits& limits, uint32_t stage = 0,
                     const char* remote = "10.1.2.3") {
  testing::TestExchange test;
  Exchange& exchange = test;
  RouteBase route;
  route.cluster_name = "c1";
  exchange.set_route(&route);
  exchange.set_remote_address(*Address::Ip(remote, 1));
  auto metadata = std::make_shared<google::protobuf::Struct>();
  REQUIRE(google::protobuf::TextFormat::ParseFromString(
      "fields { key: 'a' value { struct_value { fields { key: 'b' value { string_value: 'deep' } } "
      "} } }",
      metadata.get()));
  exchange.set_metadata("ns", metadata);
  RequestHead head;
  head.method = "GET";
  head.authority = "h.t";
  head.path = "/p?q=1&r=2";
  head.headers.AddCopy("x-user", "u1");
  RateLimitDescriptors descriptors;
  limits.Describe(stage, head, exchange, &descriptors);
  std::string out;
  for (const RateLimitDescriptor& descriptor : descriptors) {
    for (const auto& [key, value] : descriptor.entries) AppendTo(&out, key, "=", value, ",");
    if (descriptor.hits != 1) AppendTo(&out, "x", descriptor.hits);
    out += ";";
  }
  return out;
}

std::string One(const std::string& actions, const char* remote = "10.1.2.3") {
  return Describe(Compile("rate_limits { " + actions + " }"), 0, remote);
}

TEST_CASE("an action makes an entry, or none", "[rate_limit]") {
  struct Row {
    const char* actions;
    const char* expected;
  };
  const Row rows[] = {
      {"actions { generic_key { descriptor_value: 'v' } }", "generic_key=v,;"},
      {"actions { generic_key { descriptor_key: 'k' descriptor_value: 'v' } }", "k=v,;"},
      {"actions { destination_cluster {} }", "destination_cluster=c1,;"},
      {"actions { source_cluster {} }", "source_cluster=own,;"},
      {"actions { remote_address {} }", "remote_address=10.1.2.3,;"},
      {"actions { masked_remote_address { v4_prefix_mask_len { value: 12 } } }",
       "masked_remote_address=10.0.0.0/12,;"},
      {"actions { masked_remote_address {} }", "masked_remote_address=10.1.2.3/32,;"},
      {"actions { request_headers { header_name: 'X-User' descriptor_key: 'k' } }", "k=u1,;"},
      {"actions { request_headers { header_name: ':path' descriptor_key: 'k' } }",
       "k=/p?q=1&r=2,;"},
      {"actions { request_headers { header_name: 'none' descriptor_key: 'k' } }", ""},
      {"actions { generic_key { descriptor_value: 'v' } } actions { request_headers { header_name: "
       "'none' descriptor_key: 'k' } }",
       ""},
      {"actions { request_headers { header_name: 'none' descriptor_key: 'k' skip_if_absent: true } "
       "} actions { generic_key { descriptor_value: 'v' } }",
       "generic_key=v,;"},
      {"actions { request_headers { header_name: 'none' descriptor_key: 'k' skip_if_absent: true } "
       "}",
       ""},
      {"actions { query_parameters { query_parameter_name: 'r' descriptor_key: 'k' } }", "k=2,;"},
      {"actions { query_parameters { query_parameter_name: 's' descriptor_key: 'k' } }", ""},
      {"actions { header_value_match { descriptor_value: 'v' headers { name: 'x-user' "
       "present_match: true } } }",
       "header_match=v,;"},
      {"actions { header_value_match { descriptor_value: 'v' expect_match { value: false } headers "
       "{ name: 'x-user' present_match: true } } }",
       ""},
      {"actions { query_parameter_value_match { descriptor_key: 'm' descriptor_value: 'v' "
       "query_parameters { name: 'q' string_match { exact: '1' } } } }",
       "m=v,;"},
      {"actions { metadata { descriptor_key: 'm' metadata_key { key: 'ns' path { key: 'a' } path { "
       "key: 'b' } } } }",
       "m=deep,;"},
      {"actions { dynamic_metadata { descriptor_key: 'm' metadata_key { key: 'ns' path { key: 'x' "
       "} } default_value: 'd' } }",
       "m=d,;"},
      {"actions { metadata { descriptor_key: 'm' metadata_key { key: 'ns' path { key: 'x' } } } }",
       ""},
      {"actions { generic_key { descriptor_value: 'v' } } hits_addend { number { value: 5 } }",
       "generic_key=v,x5;"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.actions);
    CHECK(One(row.actions) == row.expected);
  }
}

TEST_CASE("addresses of version 6", "[rate_limit]") {
  CHECK(One("actions { remote_address {} }", "2001:db8::1") == "remote_address=2001:db8::1,;");
  CHECK(One("actions { masked_remote_address { v6_prefix_mask_len { value: 33 } } }",
            "2001:db8:ffff::1") == "masked_remote_address=2001:db8:8000::/33,;");
}

TEST_CASE("only the limits of a stage are asked, in order", "[rate_limit]") {
  const RateLimits limits = Compile(
      "rate_limits { stage { value: 1 } actions { generic_key { descriptor_value: 'one' } } } "
      "rate_limits { actions { generic_key { descriptor_value: 'zero' } } } "
      "rate_limits { stage { value: 1 } actions { remote_address {} } }");
  CHECK(Describe(limits, 0) == "generic_key=zero,;");
  CHECK(Describe(limits, 1) == "generic_key=one,;remote_address=10.1.2.3,;");
  CHECK(Describe(limits, 2) == "");
}

}  // namespace
}  // namespace sluice
