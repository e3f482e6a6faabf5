// What the admin's pages are made from: views of the server, and the few things they can make it
// do. Main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "api/envoy/config/listener/v3/listener.pb.h"
#include "source/base/clock.h"
#include "source/config/options.h"
#include "source/config/runtime.h"
#include "source/net/address.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/cluster.h"

namespace sluice::admin {

/// Envoy's names and numbers (envoy.admin.v3.ServerInfo.State).
enum class ServerState { kLive, kDraining, kPreInitializing, kInitializing };
std::string_view ToString(ServerState state);  // "LIVE"

/// A listener as it runs.
struct ListenerView {
  std::string name;
  std::vector<Address> addresses;  // those really bound: the port is never 0
  const envoy::config::listener::v3::Listener* config =
      nullptr;  // outlives the page; null is left out of /config_dump
};

/// What POST /drain_listeners asks for.
struct DrainRequest {
  bool graceful = false;  // tells connections to end, and closes the listeners after the drain time
  bool inbound_only = false;  // only listeners whose traffic_direction is INBOUND
  bool skip_exit = false;     // tells connections to end, and closes no listener
};

/// A cluster as it runs.
struct ClusterView {
  const envoy::config::cluster::v3::Cluster* config = nullptr;  // outlives the page
  Thresholds default_thresholds;
  Thresholds high_thresholds;
  std::vector<Cluster::HostView> hosts;
  /// Of all answers and of local failures; nullopt: there is no outlier detection.
  std::optional<OutlierDetector::Rates> rates = {}, local_rates = {};
  /// When another cluster has made it; nullopt: it is configured.
  std::optional<WallTime> made_at = {};

  static ClusterView Of(const Cluster& cluster) {
    ClusterView view{&cluster.config(), cluster.breaker(Priority::kDefault).thresholds(),
                     cluster.breaker(Priority::kHigh).thresholds(), cluster.Hosts()};
    if (const OutlierDetector* detector = cluster.outlier_detector()) {
      view.rates = detector->rates();
      view.local_rates = detector->local_rates();
    }
    return view;
  }
};

/// Filled by the server. References and what the functions refer to outlive the admin; every
/// function is set, but perhaps dns_caches, and is called on the main thread.
struct AdminContext {
  stats::Store& stats;
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap;
  const config::Options& options;
  std::string version;       ///< /server_info: "REVISION/VERSION/Clean/RELEASE/TLS-LIBRARY"
  uint32_t concurrency = 1;  ///< the workers that run
  TimePoint started{};       ///< for the uptime
  WallTime started_at{};     ///< for last_updated

  std::function<ServerState()> state;
  std::function<std::vector<ListenerView>()> listeners;
  /// In the order of the configuration, then those added later. Call ClusterView::Of on each.
  std::function<std::vector<ClusterView>()> clusters;
  /// Brings up to date every gauge that is computed when somebody looks: Cluster::RefreshGauges and
  /// server.*.
  std::function<void()> refresh_gauges;

  /// Ends the process as SIGTERM does. Called when the answer has been written, by the session
  /// itself: it must only start the end.
  std::function<void()> quit;
  /// Access logs and ReopenLog(), as SIGUSR1 does.
  std::function<absl::Status()> reopen_logs;
  /// /healthcheck/fail and /ok: false makes state() kDraining and has connections closed behind
  /// their answers.
  std::function<void(bool healthy)> set_health;
  /// Closes listeners; requests in flight go on, the process stays.
  std::function<void(const DrainRequest&)> drain_listeners;

  const config::Runtime* runtime = nullptr;  ///< never null when a page is asked for
  /// Changes values of the admin layer, see RuntimeLoader::Modify.
  std::function<absl::Status(const std::map<std::string, std::string, std::less<>>&)>
      modify_runtime = {};
  /// Sorted by name; may be unset: there are none.
  std::function<std::vector<DnsCache*>()> dns_caches = {};
};

}  // namespace sluice::admin
