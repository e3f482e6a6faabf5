// Whole bootstraps: from files of each form, merged, with all problems at once. Single-threaded.
#include "source/config/loader.h"

#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "source/config/tree.h"

namespace sluice::config {
namespace {

using envoy::config::bootstrap::v3::Bootstrap;

// A file that lives as long as its scope.
class TempFile {
 public:
  TempFile(std::string_view text, const std::string& extension) {
    const char* folder = getenv("TEST_TMPDIR");
    path_ = Cat(folder != nullptr ? folder : "/tmp", "/sluice_loader_test_XXXXXX", extension);
    close(mkstemps(path_.data(), static_cast<int>(extension.size())));
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TempFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr std::string_view kEgress =
    R"(admin: { address: { socket_address: { address: 127.0.0.1, port_value: 19000 } } }
static_resources:
  listeners:
  - name: egress
    address: { socket_address: { address: 0.0.0.0, port_value: 8080 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: egress
          use_remote_address: true
          upgrade_configs: [ { upgrade_type: CONNECT } ]
          access_log:
          - name: envoy.access_loggers.stdout
            typed_config: { "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog }
          http_filters:
          - name: envoy.filters.http.dynamic_forward_proxy
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig
              save_upstream_address: true
              dns_cache_config: &cache { name: egress_cache, dns_lookup_family: V4_ONLY, host_ttl: 86400s }
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            name: egress
            virtual_hosts:
            - name: any
              domains: ["*"]
              routes:
              - match: { connect_matcher: {} }
                route: { cluster: dfp, upgrade_configs: [ { upgrade_type: CONNECT, connect_config: {} } ] }
              - match: { prefix: "/", headers: [ { name: x-rewrite-me, present_match: true } ] }
                route: { cluster: dfp }
                typed_per_filter_config:
                  envoy.filters.http.dynamic_forward_proxy:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig
                    host_rewrite_header: x-rewrite-me
              - match: { prefix: "/" }
                route: { cluster: dfp }
  clusters:
  - name: dfp
    connect_timeout: 5s
    lb_policy: CLUSTER_PROVIDED
    circuit_breakers:
      thresholds: [ { max_connections: 40000, max_pending_requests: 40000, max_requests: 40000, max_retries: 40000, track_remaining: true } ]
    cluster_type:
      name: envoy.clusters.dynamic_forward_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig
        dns_cache_config: *cache
)";

// The problems of a text as a file of that extension, its name replaced by `f`; empty: none.
std::string Problems(std::string_view text, const std::string& extension,
                     const std::string& overlay = "") {
  TempFile file(text, extension);
  Diagnostics diagnostics;
  const auto bootstrap =
      LoadBootstrap({.config_path = file.path(), .config_yaml = overlay, .read = {}}, diagnostics);
  CHECK((bootstrap != nullptr) == diagnostics.ok());
  std::string out = diagnostics.ToString();
  for (size_t at = out.find(file.path()); at != out.npos; at = out.find(file.path(), at))
    out.replace(at, file.path().size(), "f");
  return out;
}

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("the egress bootstrap loads without a problem") {
  CHECK(Problems(kEgress, ".yaml") == "");
}

TEST_CASE("problems have their file, line, column and path") {
  const std::string base(kEgress);
  CHECK(Problems(base + "    hosts: []\n", ".yaml") ==
        "f:52:5: static_resources.clusters[0]: unknown field 'hosts'\n");
  CHECK(Problems(Replaced(base, "          stat_prefix: egress\n",
                          "          tracing: {}\n          stat_prefix: ''\n"),
                 ".yml") ==
        "f:11:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: "
        "'tracing' is a known Envoy field "
        "that Sluice does not support yet\n"
        "f:12:24: "
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefix: must "
        "not be empty\n");
  CHECK(Problems(Replaced(base, "host_rewrite_header: x-rewrite-me", "host_rewrite: x"), ".yaml") ==
        "f:38:21: "
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config."
        "virtual_hosts[0]."
        "routes[1].typed_per_filter_config[\"envoy.filters.http.dynamic_forward_proxy\"]: unknown "
        "field 'host_rewrite' "
        "(did you mean 'host_rewrite_literal'?)\n");
}

TEST_CASE("semantic errors find their place by path") {
  TempFile file(kEgress, ".yaml");
  Diagnostics diagnostics;
  REQUIRE(LoadBootstrap({.config_path = file.path(), .config_yaml = {}, .read = {}}, diagnostics) !=
          nullptr);
  diagnostics.Error("static_resources.clusters[0].connect_timeout", "is too short");
  diagnostics.Error("static_resources.clusters[0].lb_policy.more", "is odd");
  CHECK(diagnostics.problems()[0].line == 43);
  CHECK(diagnostics.problems()[0].column == 22);
  CHECK(diagnostics.problems()[1].line == 44);
}

TEST_CASE("the overlay wins, lists are appended to") {
  TempFile file("node: {id: a, cluster: c}\nstatic_resources: {clusters: [{name: x}]}", ".yaml");
  Diagnostics diagnostics;
  const auto bootstrap =
      LoadBootstrap({.config_path = file.path(),
                     .config_yaml = "node: {id: b}\nstatic_resources: {clusters: {name: y}}",
                     .read = {}},
                    diagnostics);
  REQUIRE(bootstrap != nullptr);
  CHECK(bootstrap->node().id() == "b");
  CHECK(bootstrap->node().cluster() == "c");
  REQUIRE(bootstrap->static_resources().clusters_size() == 2);
  CHECK(bootstrap->static_resources().clusters(1).name() == "y");
  diagnostics.Error("static_resources.clusters[1].name", "x");
  CHECK(diagnostics.problems()[0].file == "--config-yaml");
  CHECK(diagnostics.problems()[0].line == 2);
  CHECK(Problems("node: {}", ".yaml", "noode: {}") ==
        "--config-yaml:1:1: unknown field 'noode' (did you mean 'node'?)\n");
}

TEST_CASE("each form of file") {
  CHECK(Problems(R"({"node": {"id": "a"}})", ".json") == "");
  CHECK(Problems(R"({"node": {"id": "a"},})", ".json") ==
        "f:1:22: JSON: a comma without a value after it\n");
  CHECK(Problems("node { id: 'a' }", ".pb_text") == "");
  CHECK(Problems("node {\n  idd: 'a' }", ".pb_text")
            .starts_with(
                "f:2:6: Message type \"envoy.config.core.v3.Node\" has no field named \"idd\""));
  CHECK(Problems("stats_sinks {}\nstatic_resources {\n clusters { name: 'x' type: EDS } }",
                 ".pb_text") ==
        "f:1:1: stats_sinks: 'stats_sinks' is a known Envoy field that Sluice does not support "
        "yet\n"
        "f:3:23: static_resources.clusters[0].type: 'EDS' is a known Envoy value that Sluice does "
        "not support yet\n");
  Bootstrap good;
  good.mutable_node()->set_id("a");
  CHECK(Problems(good.SerializeAsString(), ".pb") == "");
  CHECK(Problems(std::string("\x0A\xFFxx", 4), ".pb") ==
        "f:1:1: is no valid binary envoy.config.bootstrap.v3.Bootstrap\n");
  CHECK(Problems(good.SerializeAsString() + "\x1A" + std::string(1, '\0'), ".pb")
            .find("known Envoy field") != std::string::npos);
  CHECK(Problems(good.SerializeAsString() + "\xF8\x7F\x01", ".pb")
            .find("unknown field number 2047") != std::string::npos);
  for (const char* extension : {".yaml", ".json", ".pb", ".pb_text"}) {
    CHECK(Problems("", extension) == "f:1:1: is empty\n");
  }
}

TEST_CASE("a file that is not there, a folder, no file") {
  Diagnostics diagnostics;
  CHECK(LoadBootstrap({.config_path = "/nowhere/x.yaml", .config_yaml = {}, .read = {}},
                      diagnostics) == nullptr);
  CHECK(diagnostics.ToString() == "/nowhere/x.yaml: cannot be opened: No such file or directory\n");
  Diagnostics folder;
  CHECK(LoadBootstrap({.config_path = "/", .config_yaml = {}, .read = {}}, folder) == nullptr);
  Diagnostics none;
  CHECK(LoadBootstrap({}, none) == nullptr);
  CHECK(none.ToString() == "no configuration: give --config-path or --config-yaml\n");
}

TEST_CASE("unknown fields can be allowed") {
  Diagnostics diagnostics;
  const auto bootstrap = LoadBootstrap({.config_path = {},
                                        .config_yaml = "noode: {}\nstats_sinks: []\nnode: {id: a}",
                                        .read = {.allow_unknown = true}},
                                       diagnostics);
  REQUIRE(bootstrap != nullptr);
  CHECK(diagnostics.warnings() == 2);
  CHECK(bootstrap->node().id() == "a");
}

TEST_CASE("sixteen mebibytes end soon") {
  std::string text = "static_resources:\n  clusters:\n";
  while (text.size() < kMaxSourceBytes - 64)
    text += "  - {name: c, connect_timeout: 1s, type: STATIC, lb_policy: RANDOM, hosts: []}\n";
  const auto start = std::chrono::steady_clock::now();
  const std::string problems = Problems(text, ".yaml");
  CHECK(problems.starts_with("f:"));
  CHECK(std::chrono::steady_clock::now() - start <
        std::chrono::seconds(10));  // 1.1 s on a quiet machine
  CHECK(Problems(std::string(kMaxSourceBytes + 1, ' '), ".yaml") == "f: is larger than 16 MiB\n");
}

}  // namespace
}  // namespace sluice::config
