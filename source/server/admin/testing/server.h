// A server for tests of the admin's pages: a real store, a configuration, and functions that note
// what they were asked. Test thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "source/config/loader.h"
#include "source/server/admin/page.h"

namespace sluice::admin {

inline constexpr std::string_view kTestConfig = R"(
node: { id: from-file, cluster: c, locality: { zone: z } }
static_resources:
  listeners:
  - name: main
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            name: local
            virtual_hosts:
            - { name: any, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: dfp } }] }
  clusters:
  - { name: dfp, type: STATIC, load_assignment: { cluster_name: dfp } }
  - { name: other, type: STATIC, load_assignment: { cluster_name: other } }
)";

struct TestServer {
  explicit TestServer(std::string_view yaml = kTestConfig) {
    config::Diagnostics diagnostics;
    REQUIRE(config::ReadYaml(yaml, diagnostics, &bootstrap));
    context.started = Now() - std::chrono::seconds(90);
    context.started_at = WallTime(std::chrono::seconds(1795403045));
    // A host that is reached under a name and answered three requests, one of them badly.
    auto figures = std::make_shared<HostStats>();
    figures->cx_total.Add(2);
    figures->cx_active.Add(1);
    figures->rq_total.Add(3);
    figures->rq_success.Add(2);
    figures->rq_error.Add(1);
    host.stats = figures;
    host.address = "127.0.0.1:8080";
    host.hostname = "ok.t:8080";
    host.settings.hostname = host.hostname;
    host.settings.addresses = {Address::Ipv4(0x7F000001, 8080)};
    host.settings.region = "r";
  }

  std::vector<ListenerView> Listeners() {
    return {{"main",
             {Address::Ipv4(0x7F000001, 10000), *Address::Ip("::1", 10001)},
             &bootstrap.static_resources().listeners(0)},
            {"socket", {*Address::Unix("/run/x.sock")}, nullptr}};
  }

  std::vector<ClusterView> Clusters() {
    std::vector<ClusterView> views;
    for (const auto& cluster : bootstrap.static_resources().clusters())
      views.push_back({&cluster, {}, {}, {}});
    views[0].default_thresholds.max_connections = 40000;
    views[0].hosts = {host};
    return views;
  }

  /// `target`: path and query.
  AdminReply Ask(std::string_view target, std::string_view method = "GET") {
    AdminRequest request;
    request.method = method;
    request.path = target.substr(0, target.find('?'));
    if (request.path.size() < target.size())
      ParseQuery(target.substr(request.path.size() + 1), &request);
    return Answer(request, context);
  }

  stats::Store store;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  config::Options options;
  Cluster::HostView host;
  ServerState state = ServerState::kLive;
  std::vector<std::string> done;  // what the pages made the server do
  absl::Status reopened;
  config::Runtime runtime;
  absl::Status modified;

  AdminContext context{
      store,
      bootstrap,
      options,
      "0123abcd/0.1.0/Clean/RELEASE/OpenSSL",
      2,
      {},
      {},
      [this] { return state; },
      [this] { return Listeners(); },
      [this] { return Clusters(); },
      [this] { done.push_back("refresh"); },
      [this] { done.push_back("quit"); },
      [this] {
        done.push_back("reopen");
        return reopened;
      },
      [this](bool healthy) { done.push_back(healthy ? "healthy" : "unhealthy"); },
      [this](bool graceful) { done.push_back(graceful ? "drain gracefully" : "drain"); },
      &runtime,
      [this](const auto& values) {
        for (const auto& [key, value] : values) done.push_back(key + "=" + value);
        return modified;
      }};
};

}  // namespace sluice::admin
