// What the reader accepts and what it says of the rest, with exact places. Single-threaded.
#include "source/config/proto_reader.h"

#include <catch2/catch.hpp>

#include "api/envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "api/envoy/config/core/v3/base.pb.h"
#include "api/envoy/config/route/v3/route_components.pb.h"
#include "api/envoy/extensions/filters/http/router/v3/router.pb.h"
#include "api/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "google/protobuf/text_format.h"
#include "source/config/loader.h"

namespace sluice::config {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::core::v3::TypedExtensionConfig;
using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::RouteMatch;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;

// The message as short text, or the problems.
template <class M>
std::string Read(std::string_view yaml) {
  M message;
  Diagnostics diagnostics;
  if (!ReadYaml(yaml, diagnostics, &message, "f")) return diagnostics.ToString();
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.SetExpandAny(true);
  std::string text;
  printer.PrintToString(message, &text);
  return text;
}

TEST_CASE("tolerant forms are read") {
  const auto [yaml, want] = GENERATE(table<std::string, std::string>({
      {"name: c\nconnectTimeout: 1.5s",
       "name: \"c\" connect_timeout { seconds: 1 nanos: 500000000 } "},
      {"name: c\nconnect_timeout: {seconds: 2, nanos: 1}",
       "name: \"c\" connect_timeout { seconds: 2 nanos: 1 } "},
      {"name: c\ntype: strict_dns", "name: \"c\" type: STRICT_DNS "},
      {"name: c\ntype: 2", "name: \"c\" type: LOGICAL_DNS "},
      {"name: 012", "name: \"012\" "},
      {"name: off", "name: \"off\" "},
      {"name: c\nrespect_dns_ttl: off", "name: \"c\" "},
      {"name: c\nrespect_dns_ttl: yes", "name: \"c\" respect_dns_ttl: true "},
      {"name: c\nrespect_dns_ttl: 'true'", "name: \"c\" respect_dns_ttl: true "},
      {"name: c\nper_connection_buffer_limit_bytes: '12'",
       "name: \"c\" per_connection_buffer_limit_bytes { value: 12 } "},
      {"name: c\nper_connection_buffer_limit_bytes: 012",
       "name: \"c\" per_connection_buffer_limit_bytes { value: 12 } "},
      {"name: c\nper_connection_buffer_limit_bytes: 1e3",
       "name: \"c\" per_connection_buffer_limit_bytes { value: 1000 } "},
      {"name: c\nper_connection_buffer_limit_bytes: ~", "name: \"c\" "},
      {"name: c\ncircuit_breakers: {thresholds: {max_retries: 3}}",
       "name: \"c\" circuit_breakers { thresholds { max_retries { value: 3 } } } "},
      {"name: c\nmetadata: {filter_metadata: {x: {a: 1, b: '1', c: [true, ~]}}}",
       "name: \"c\" metadata { filter_metadata { key: \"x\" value { fields { key: \"a\" value { "
       "number_value: 1 } } "
       "fields { key: \"b\" value { string_value: \"1\" } } fields { key: \"c\" value { list_value "
       "{ values { "
       "bool_value: true } values { null_value: NULL_VALUE } } } } } } } "},
  }));
  INFO(yaml);
  CHECK(Read<Cluster>(yaml) == want);
}

TEST_CASE("extensions are read by their type") {
  const std::string want =
      "name: \"r\" typed_config { "
      "[type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] { "
      "suppress_envoy_headers: true } } ";
  const std::string yaml =
      GENERATE(as<std::string>(),
               "{suppress_envoy_headers: true, '@type': "
               "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}",
               "{'@type': type.googleapis.com/udpa.type.v1.TypedStruct, type_url: "
               "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, value: "
               "{suppress_envoy_headers: true}}",
               "{'@type': type.googleapis.com/xds.type.v3.TypedStruct, typeUrl: "
               "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, value: "
               "{suppressEnvoyHeaders: 'true'}}");
  INFO(yaml);
  CHECK(Read<HttpFilter>("name: r\ntyped_config: " + yaml) == want);
}

TEST_CASE("what is wrong with a cluster is said with its place") {
  const auto [yaml, want] = GENERATE(table<std::string, std::string>({
      {"name: c\nhosts: []", "f:2:1: unknown field 'hosts'\n"},
      {"name: c\nconect_timeout: 1s",
       "f:2:1: unknown field 'conect_timeout' (did you mean 'connect_timeout'?)\n"},
      {"name: c\ntrack_cluster_stats: {}",
       "f:2:1: 'track_cluster_stats' is a known Envoy field that Sluice does not support yet\n"},
      {"name: c\ntype: EDS",
       "f:2:7: type: 'EDS' is a known Envoy value that Sluice does not support yet\n"},
      {"name: c\ntype: STATIK",
       "f:2:7: type: unknown value 'STATIK', must be one of STATIC, STRICT_DNS, LOGICAL_DNS, "
       "ORIGINAL_DST (did "
       "you mean 'STATIC'?)\n"},
      {"name: c\nconnect_timeout: 5m",
       "f:2:18: connect_timeout: must be a duration in seconds, such as '1.5s', got '5m' (did you "
       "mean '300s'?)\n"},
      {"name: c\nconnect_timeout: 5",
       "f:2:18: connect_timeout: must be a duration in seconds, such as '1.5s', got '5' (did you "
       "mean '5s'?)\n"},
      {"name: c\nconnect_timeout: .nan",
       "f:2:18: connect_timeout: must be a duration in seconds, such as '1.5s', got '.nan'\n"},
      {"name: c\nconnect_timeout: {seconds: 1, nanos: -5}",
       "f:2:18: connect_timeout: is no valid duration: nanos must be below 1000000000 and of the "
       "sign of seconds\n"},
      {"name: [c]", "f:1:7: name: must be a string, got a list\n"},
      {"name: c\nrespect_dns_ttl: maybe",
       "f:2:18: respect_dns_ttl: warning: is deprecated\nf:2:18: respect_dns_ttl: must be true or "
       "false, got 'maybe'\n"},
      {"name: c\nper_connection_buffer_limit_bytes: 0x10",
       "f:2:36: per_connection_buffer_limit_bytes: must be a whole number (uint32), got '0x10'\n"},
      {"name: c\nper_connection_buffer_limit_bytes: -1",
       "f:2:36: per_connection_buffer_limit_bytes: must be a whole number (uint32), got '-1'\n"},
      {"name: c\nper_connection_buffer_limit_bytes: 4294967296",
       "f:2:36: per_connection_buffer_limit_bytes: must be a whole number (uint32), got "
       "'4294967296'\n"},
      {"name: c\ncircuit_breakers:\n  thresholds:\n  - max_conections: 1",
       "f:4:5: circuit_breakers.thresholds[0]: unknown field 'max_conections' (did you mean "
       "'max_connections'?)\n"},
      {"name: c\ncircuit_breakers: 3",
       "f:2:19: circuit_breakers: must be a mapping (CircuitBreakers), got '3'\n"},
      {"name: c\nalt_stat_name: a\naltStatName: b",
       "f:3:1: alt_stat_name: is set twice, under two names\n"},
      {"name: c\nconnect_timeout: 0s", "f:2:18: connect_timeout: value must be > 0s, got 0s\n"},
      {"[]", "f:1:1: must be a mapping (Cluster), got a list\n"},
      {"name: \"\xFF\"", "f:1:8: a byte that is not UTF-8 text\n"},
      {"", "f:1:1: is empty\n"},
  }));
  INFO(yaml);
  CHECK(Read<Cluster>(yaml) == want);
}

TEST_CASE("what is wrong with other messages is said with its place") {
  CHECK(Read<RouteMatch>("prefix: /\npath: /a") ==
        "f:2:1: path: 'prefix' is set already: only one of prefix, path, safe_regex, "
        "connect_matcher, "
        "path_separated_prefix, path_match_policy may be\n");
  CHECK(Read<HttpFilter>("name: x\ntyped_config: {}") ==
        "f:2:15: typed_config: '@type' is missing\n");
  // Only where the API says that it may be.
  CHECK(Read<envoy::config::route::v3::FilterConfig>("config: {}") == "config { } ");
  CHECK(Read<envoy::config::route::v3::FilterConfig>("config: {a: 1}") ==
        "f:1:9: config: '@type' is missing\n");
  CHECK(Read<HttpFilter>("name: x\ntyped_config:\n  '@type': "
                         "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua") ==
        "f:3:12: typed_config: 'envoy.extensions.filters.http.lua.v3.Lua' is a known Envoy type "
        "that Sluice does not "
        "support yet\n");
  CHECK(Read<HttpFilter>("name: x\ntyped_config: {'@type': "
                         "type.googleapis.com/envoy.config.filter.http.router.v2.Router}") ==
        "f:2:25: typed_config: unknown type "
        "'type.googleapis.com/envoy.config.filter.http.router.v2.Route...' (did you mean "
        "'envoy.extensions.filters.http.router.v3.Router'?)\n");
  CHECK(Read<HttpFilter>(
            "name: x\ntyped_config: {'@type': envoy.extensions.filters.http.router.v3.Router}") ==
        "f:2:25: typed_config: bad type URL 'envoy.extensions.filters.http.router.v3.Router' (did "
        "you mean "
        "'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'?)\n");
  CHECK(Read<HttpFilter>("name: x\ntyped_config:\n  '@type': "
                         "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n"
                         "  dynamic_stat: true") ==
        "f:4:3: typed_config: unknown field 'dynamic_stat' (did you mean 'dynamic_stats'?)\n");
  CHECK(Read<HttpConnectionManager>("stat_prefix: s\nroute_config: {}\ntracing: {}") ==
        "f:3:1: 'tracing' is a known Envoy field that Sluice does not support yet\n");
}

TEST_CASE("an optional filter of an unknown type is left out with a warning") {
  const std::string type =
      GENERATE(as<std::string>(), "envoy.extensions.filters.http.lua.v3.Lua", "acme.Filter");
  HttpConnectionManager manager;
  Diagnostics diagnostics;
  REQUIRE(
      ReadYaml("stat_prefix: s\nroute_config: {}\nhttp_filters:\n- name: x\n  typed_config: {a: 1, "
               "'@type': type.googleapis.com/" +
                   type + "}\n  is_optional: true\n- name: envoy.filters.http.router",
               diagnostics, &manager, "f"));
  CHECK(diagnostics.warnings() == 1);
  CHECK(diagnostics.IsLeftOut("http_filters[0]"));
  CHECK_FALSE(diagnostics.IsLeftOut("http_filters[1]"));
  CHECK(manager.http_filters(0).typed_config().type_url() == "type.googleapis.com/" + type);
  CHECK(manager.http_filters(0).typed_config().value().empty());
}

TEST_CASE("errors beyond the limit are counted") {
  std::string yaml = "name: c\n";
  for (int i = 0; i < 300; ++i) yaml += Cat("zz", i, ": 1\n");
  Cluster cluster;
  Diagnostics diagnostics;
  CHECK_FALSE(ReadYaml(yaml, diagnostics, &cluster));
  CHECK(diagnostics.errors() == 300);
  CHECK(diagnostics.ToString().ends_with("and 100 more\n"));
}

}  // namespace
}  // namespace sluice::config
