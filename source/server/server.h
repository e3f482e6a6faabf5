// Server: the whole process from a loaded bootstrap to its end. Everything here runs on the main
// thread, but for what it hands to the workers.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "api/envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "source/async/signals.h"
#include "source/config/diagnostics.h"
#include "source/config/options.h"
#include "source/extension/registry.h"
#include "source/observe/access_log/access_log.h"
#include "source/observe/match/match.h"
#include "source/server/admin/admin.h"
#include "source/server/listeners/listener.h"
#include "source/server/overload/overload_manager.h"
#include "source/server/runtime_loader.h"
#include "source/server/server_stats.h"
#include "source/server/watchdog.h"
#include "source/upstream/cluster_manager.h"
#include "source/upstream/dns/dns_cache_manager.h"
#include "source/upstream/egress/egress_guard.h"

namespace sluice {

class Server {
 public:
  /// `bootstrap` and `registry` outlive the server; problems go to `diagnostics`.
  Server(const config::Options& options, const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
         const Registry& registry, config::Diagnostics& diagnostics);
  ~Server();

  /// Builds everything that the bootstrap describes, without opening a socket. False when it has
  /// problems.
  bool Build();

  /// Binds, serves until it is told to end, and ends in order. The exit code.
  int Run();

 private:
  void BuildOverloadManager();
  void BuildExtensions();
  void BuildClusters();
  void BuildListeners();
  void BuildAdmin();
  absl::Status BindAll();
  static Task<> HandleSignals(Server& server);
  void OnSignal(int signal);
  void BeginDrain();
  static Task<> Drain(Server& server);
  static Task<> BecomeLive(Server& server);
  void StopWorkers();
  int64_t OpenConnections() const;
  void RefreshGauges();
  void ReopenLogs();
  void DrainListeners(const admin::DrainRequest& request);
  static Task<> StopLater(Server& server, Listener& listener);
  admin::AdminContext MakeAdminContext();
  /// Bootstrap.admin.allow_paths; errors go to the diagnostics.
  std::vector<StringMatcher> AdminPaths();
  admin::ServerState state() const;

  const config::Options& options_;
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap_;
  const Registry& registry_;
  config::Diagnostics& diagnostics_;
  const size_t concurrency_;
  const TimePoint started_ = Now();
  const WallTime started_at_ = WallNow();

  stats::Store stats_;
  const ServerStats server_stats_;
  RuntimeLoader runtime_;
  Worker main_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Watchdog watchdog_;  // of the threads above
  AccessLogManager access_logs_;
  DnsCacheManager dns_caches_;
  ClusterManager clusters_;
  Egress egress_;
  OverloadManager overload_;
  std::vector<BootstrapExtensionPtr> extensions_;
  ServerContext context_;
  ConnectionBudget budget_;
  ConnectionBudget admin_budget_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<Listener> admin_listener_;
  bool live_ = false;
  std::atomic<bool> healthy_{true};  // written by the main thread, read by the workers
  bool draining_ = false;
};

}  // namespace sluice
