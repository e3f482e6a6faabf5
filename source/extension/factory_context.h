// FactoryContext: what a factory may use while it builds an extension. Main thread, while a
// configuration is loaded.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "source/base/overload_state.h"
#include "source/config/diagnostics.h"
#include "source/config/runtime.h"
#include "source/observe/access_log/access_log.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/cluster.h"

namespace envoy::config::core::v3 {
class BindConfig;
}

namespace sluice {

class ClusterManager;
class DnsCacheManager;
class Egress;
class Registry;

/// What belongs to the process; outlives every extension.
struct ServerContext {
  Worker& main;
  size_t workers;
  stats::Store& stats;
  AccessLogManager& access_logs;
  DnsCacheManager& dns_caches;
  ClusterManager& clusters;
  const Registry& registry;
  const Dialer& dialer;
  config::Diagnostics& diagnostics;
  Duration drain_time = std::chrono::seconds(600);
  Egress* egress = nullptr;  // null: nothing is guarded, which is for tests without a server
  config::Runtime* runtime = nullptr;  // for the handles of config/runtime.h; null: the defaults
  const std::atomic<bool>* healthy = nullptr;  // what /healthcheck/ok and /fail said; null: true
  const OverloadState* overload = &OverloadState::Calm();
  // Where the proxy itself is: --service-cluster, else node.cluster; --service-zone, else that of
  // node.locality. Empty: not known.
  std::string service_cluster = {}, service_zone = {};
  // cluster_manager.upstream_bind_config: for clusters without their own; null: none. The
  // bootstrap's.
  const envoy::config::core::v3::BindConfig* bind = nullptr;
  /// Main thread, while the server runs: a cluster from its configuration; null when it cannot be.
  std::function<ClusterPtr(const envoy::config::cluster::v3::Cluster&)> make_cluster = {};
};

struct FactoryContext {
  ServerContext& server;
  std::string path;    // of the message that is being turned into an object:
                       // "static_resources.listeners[0]..."
  stats::Scope scope;  // where its metrics belong: http.<stat_prefix>, cluster.<name>, or the root

  /// Reports a problem at `field` below `path` ("dns_cache_config.name"; empty: at `path` itself).
  void Error(std::string_view field, std::string_view message) {
    server.diagnostics.Error(field.empty() ? path : path + "." + std::string(field), message);
  }
};

/// For cluster types: the cluster that is being built.
struct ClusterFactoryContext : FactoryContext {
  ClusterSettings settings;
  const envoy::config::cluster::v3::Cluster& config;
  bool auto_sni_and_san = true;  // false where HttpProtocolOptions are given without both
};

}  // namespace sluice
