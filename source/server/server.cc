// Building, serving, ending. Main thread.
#include "source/server/server.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <random>
#include <thread>

#include "source/base/log.h"
#include "source/config/address.h"
#include "source/config/durations.h"
#include "source/extension/access_logs.h"
#include "source/observe/stats/stats_config.h"
#include "source/server/admin/admin_filter.h"
#include "source/server/clusters/cluster_factory.h"
#include "source/server/extension_log.h"
#include "source/server/listeners/listener_factory.h"
#include "source/server/version.h"

namespace sluice {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(10);
constexpr Duration kStatsInterval = std::chrono::seconds(5);
// Clusters that cannot be resolved for so long do not keep the others from serving.
constexpr Duration kWarmingLimit = std::chrono::seconds(15);

size_t WorkerCount(const config::Options& options) {
  return options.concurrency != 0 ? options.concurrency
                                  : std::max(1u, std::thread::hardware_concurrency());
}

// Each proxied request needs two descriptors; what is left over serves logs, resolvers and the
// admin.
int64_t ConnectionLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 1'000'000;
  return std::max<int64_t>(static_cast<int64_t>(limit.rlim_cur) / 2 - 32, 16);
}

Task<> FlushStats(stats::Store& stats, Duration interval) {
  while (co_await Sleep(interval)) stats.Flush();
}

// Takes no new connections, and tells those that are open to end when they can.
void End(Listener& listener) {
  listener.StopAccepting();
  listener.Drain();
}

}  // namespace

Server::Server(const config::Options& options,
               const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const Registry& registry,
               config::Diagnostics& diagnostics)
    : options_(options),
      bootstrap_(bootstrap),
      registry_(registry),
      diagnostics_(diagnostics),
      concurrency_(WorkerCount(options)),
      stats_(stats::BuildStoreSettings(bootstrap.stats_config(), "stats_config", diagnostics)),
      server_stats_(stats_),
      runtime_(stats_),
      main_(Worker::kMain, std::random_device()()),
      watchdog_(stats_.Root(), {}),
      access_logs_(stats_.Root(),
                   {.flush_interval = std::chrono::milliseconds(options.file_flush_interval_msec)}),
      dns_caches_(main_, concurrency_, stats_, {}, &runtime_.runtime()),
      clusters_(concurrency_, stats_.Root().Sub("cluster_manager")),
      egress_(stats_.Root()),
      overload_(stats_),
      context_{main_,       concurrency_,
               stats_,      access_logs_,
               dns_caches_, clusters_,
               registry,    SocketDialer(),
               diagnostics, std::chrono::seconds(options.drain_time_s),
               &egress_,    &runtime_.runtime(),
               &healthy_,   &overload_.state()},
      budget_(ConnectionLimit()),
      admin_budget_(1024) {
  for (size_t i = 0; i < concurrency_; ++i)
    workers_.push_back(std::make_unique<Worker>(static_cast<int>(i), std::random_device()()));
  watchdog_.Watch(main_);
  for (const auto& worker : workers_) watchdog_.Watch(*worker);
}

Server::~Server() = default;

bool Server::Build() {
  const auto& node = bootstrap_.node();
  context_.service_cluster =
      options_.service_cluster.empty() ? node.cluster() : options_.service_cluster;
  context_.service_zone =
      options_.service_zone.empty() ? node.locality().zone() : options_.service_zone;
  runtime_.Load(bootstrap_.layered_runtime(), context_.service_cluster, diagnostics_);
  runtime_.OnChange([this] {
    dns_caches_.OnRuntimeChanged();
    clusters_.OnRuntimeChanged();
  });
  if (bootstrap_.cluster_manager().has_upstream_bind_config())
    context_.bind = &bootstrap_.cluster_manager().upstream_bind_config();
  context_.make_cluster = [this](const envoy::config::cluster::v3::Cluster& config) {
    return BuildCluster(config, Cat("cluster '", config.name(), "'"), context_);
  };
  if (bootstrap_.has_typed_dns_resolver_config()) {
    const absl::Status status =
        dns_caches_.SetDefaultResolver(bootstrap_.typed_dns_resolver_config());
    if (!status.ok()) diagnostics_.Error("typed_dns_resolver_config", Std(status.message()));
  }
  BuildOverloadManager();
  BuildExtensions();
  BuildClusters();
  BuildListeners();
  BuildAdmin();
  runtime_.WarnOfUnread(diagnostics_);
  dns_caches_.CheckExtensions(diagnostics_);
  return diagnostics_.ok();
}

void Server::BuildOverloadManager() {
  if (!bootstrap_.has_overload_manager()) return;
  MonitorContext monitor;
  monitor.connections = [this] { return budget_.used(); };
  monitor.limit_connections = [this](int64_t limit) {
    // Never more than there are descriptors for.
    if (limit > budget_.limit()) {
      SLUICE_LOG(kWarning, kMain, "of the ", limit,
                 " downstream connections that the overload manager allows, the limit of "
                 "descriptors (ulimit -n) leaves ",
                 budget_.limit());
    }
    budget_.SetLimit(std::min(limit, budget_.limit()));
  };
  overload_.OnTimeoutsChanged([this] {
    for (const auto& worker : workers_)
      worker->Post([worker = worker.get()] { worker->wheel().Review(); });
  });
  overload_.Configure(bootstrap_.overload_manager(), "overload_manager", monitor, diagnostics_);
}

void Server::BuildExtensions() {
  for (int i = 0; i < bootstrap_.bootstrap_extensions_size(); ++i) {
    auto made = BuildExtension(registry_.bootstrap_extensions(), bootstrap_.bootstrap_extensions(i),
                               Cat("bootstrap_extensions[", i, "]"), context_, stats_.Root());
    if (made.has_value()) extensions_.push_back(*std::move(made));
  }
}

void Server::BuildClusters() {
  const auto& clusters = bootstrap_.static_resources().clusters();
  for (int i = 0; i < clusters.size(); ++i) {
    const std::string path = Cat("static_resources.clusters[", i, "]");
    ClusterPtr cluster = BuildCluster(clusters[i], path, context_);
    if (cluster == nullptr) {
      clusters_.AddRefused(clusters[i].name());
      continue;
    }
    if (absl::Status status = clusters_.Add(std::move(cluster)); !status.ok())
      diagnostics_.Error(path, Std(status.message()));
  }
}

void Server::BuildListeners() {
  const auto& listeners = bootstrap_.static_resources().listeners();
  for (int i = 0; i < listeners.size(); ++i) {
    auto listener =
        BuildListener(listeners[i], Cat("static_resources.listeners[", i, "]"), context_, budget_);
    if (listener != nullptr) listeners_.push_back(std::move(listener));
    server_stats_.listener_added.Add();
  }
}

std::vector<StringMatcher> Server::AdminPaths() {
  std::vector<StringMatcher> matchers;
  const auto& paths = bootstrap_.admin().allow_paths();
  for (int i = 0; i < paths.size(); ++i) {
    auto matcher = StringMatcher::Build(paths[i]);
    if (matcher.ok()) {
      matchers.push_back(*std::move(matcher));
    } else {
      diagnostics_.Error(Cat("admin.allow_paths[", i, "]"), Std(matcher.status().message()));
    }
  }
  return matchers;
}

void Server::BuildAdmin() {
  if (!bootstrap_.has_admin() || !bootstrap_.admin().has_address()) return;
  FactoryContext factory{context_, "admin", stats_.Root()};
  auto logs = BuildAccessLogs(bootstrap_.admin().access_log(), factory, "access_log");
  auto address = config::AddressOf(bootstrap_.admin().address());
  if (!address.ok()) return diagnostics_.Error("admin.address", Std(address.status().message()));
  ListenerSettings settings;
  settings.name = "admin";
  settings.stat_prefix = "admin";  // listener.admin.*, Envoy's name for it
  settings.addresses = {*address};
  settings.options.reuse_port = false;
  NetworkChain chain;
  chain.filters.push_back(MakeAdminFilter(
      std::make_unique<admin::Admin>(MakeAdminContext(), std::move(logs), AdminPaths()),
      stats_.Root().Sub("http").Sub("admin", stats::tag::kHttpConnManagerPrefix)));
  FilterChainTable chains;
  chains.Add({}, std::move(chain));
  admin_listener_ =
      std::make_unique<Listener>(std::move(settings), envoy::config::listener::v3::Listener(),
                                 std::vector<std::unique_ptr<const ListenerFilter>>(),
                                 std::move(chains), stats_, admin_budget_);
}

admin::AdminContext Server::MakeAdminContext() {
  admin::AdminContext admin{stats_,
                            bootstrap_,
                            options_,
                            VersionSlug(),
                            static_cast<uint32_t>(concurrency_),
                            started_,
                            started_at_,
                            {},
                            {},
                            {},
                            {},
                            {},
                            {},
                            {},
                            {},
                            {}};
  admin.state = [this] { return state(); };
  admin.listeners = [this] {
    std::vector<admin::ListenerView> views;
    for (const auto& listener : listeners_)
      views.push_back({listener->name(), listener->addresses(), &listener->config()});
    return views;
  };
  admin.clusters = [this] {
    std::vector<admin::ClusterView> views;
    for (const ClusterPtr& cluster : clusters_.ordered()) {
      views.push_back(admin::ClusterView::Of(*cluster));
      if (!clusters_.Has(cluster->name())) views.back().made_at = cluster->made_at();
    }
    return views;
  };
  admin.refresh_gauges = [this] { RefreshGauges(); };
  admin.quit = [this] { BeginDrain(); };
  admin.reopen_logs = [this] {
    ReopenLogs();
    return absl::OkStatus();
  };
  admin.set_health = [this](bool healthy) { healthy_ = healthy; };
  admin.drain_listeners = [this](const admin::DrainRequest& request) { DrainListeners(request); };
  admin.runtime = &runtime_.runtime();
  admin.modify_runtime = [this](const auto& values) { return runtime_.Modify(values); };
  admin.dns_caches = [this] {
    std::vector<DnsCache*> caches;
    for (const auto& [name, cache] : dns_caches_.caches()) caches.push_back(cache);
    return caches;
  };
  return admin;
}

admin::ServerState Server::state() const {
  if (draining_ || !healthy_) return admin::ServerState::kDraining;
  return live_ ? admin::ServerState::kLive : admin::ServerState::kInitializing;
}

absl::Status Server::BindAll() {
  const auto own = [this](const Listener& listener) {
    for (const Address& address : listener.addresses()) egress_.own().Add(address);
  };
  if (admin_listener_ != nullptr) {
    if (absl::Status status = admin_listener_->Bind(1); !status.ok()) return status;
    own(*admin_listener_);
  }
  for (const auto& listener : listeners_) {
    if (absl::Status status = listener->Bind(concurrency_); !status.ok()) {
      server_stats_.listener_create_failure.Add();
      return status;
    }
    server_stats_.listener_create_success.Add();
    own(*listener);
  }
  if (!options_.admin_address_path.empty() && admin_listener_ != nullptr) {
    std::ofstream file(options_.admin_address_path);
    file << admin_listener_->addresses().front().ToString();
    if (!file.flush())
      return absl::UnavailableError(
          Cat("cannot write the admin's address to '", options_.admin_address_path, "'"));
  }
  if (!options_.base_id_path.empty()) {
    std::ofstream file(options_.base_id_path);
    file << options_.base_id;
    if (!file.flush())
      return absl::UnavailableError(
          Cat("cannot write the base id to '", options_.base_id_path, "'"));
  }
  return absl::OkStatus();
}

int Server::Run() {
  LogExtensions(registry_);
  if (const absl::Status status = BindAll(); !status.ok()) {
    SLUICE_LOG(kCritical, kMain, Std(status.message()));
    return 1;
  }
  dns_caches_.Start(workers_);
  clusters_.Start(workers_);
  for (const auto& worker : workers_) worker->Start();
  if (admin_listener_ != nullptr) admin_listener_->Start({&main_});
  main_.Post([this] {
    main_.scope().Spawn(HandleSignals(*this));
    if (!bootstrap_.stats_flush_on_admin()) {
      main_.scope().Spawn(
          FlushStats(stats_, bootstrap_.has_stats_flush_interval()
                                 ? config::ToDuration(bootstrap_.stats_flush_interval())
                                 : kStatsInterval));
    }
    main_.scope().Spawn(runtime_.Watch());
    if (overload_.configured()) main_.scope().Spawn(OverloadManager::Run(overload_));
    main_.scope().Spawn(BecomeLive(*this));
  });
  watchdog_.Start();
  main_.Run();
  access_logs_.Flush(std::chrono::seconds(2));
  SLUICE_LOG(kInfo, kMain, "exiting");
  return 0;
}

Task<> Server::BecomeLive(Server& server) {
  const TimePoint limit = Now() + kWarmingLimit;
  while (!server.clusters_.ready() && Now() < limit) {
    if (!co_await Sleep(kPoll)) co_return;
  }
  if (server.draining_) co_return;
  std::vector<Worker*> workers;
  for (const auto& worker : server.workers_) workers.push_back(worker.get());
  for (const auto& listener : server.listeners_) {
    if (listener->stopped()) continue;  // By /drain_listeners, before it had begun.
    listener->Start(workers);
    for (const Address& address : listener->addresses()) {
      SLUICE_LOG(kInfo, kMain, "listener '", listener->name(), "' on ", address.ToString());
    }
  }
  const auto& clusters = server.clusters_.ordered();
  if (std::any_of(clusters.begin(), clusters.end(),
                  [](const ClusterPtr& cluster) { return cluster->is_dynamic(); })) {
    SLUICE_LOG(kInfo, kMain, server.egress_.Notice());
  }
  server.live_ = true;
  server.server_stats_.initialization_time_ms.Record(
      static_cast<uint64_t>(Milliseconds(Now() - server.started_)));
  const auto& admin = server.admin_listener_;
  SLUICE_LOG(kInfo, kMain, "serving with ", workers.size(), " workers",
             admin == nullptr ? "" : "; admin on " + admin->addresses().front().ToString());
}

Task<> Server::HandleSignals(Server& server) {
  Signals signals(server.main_, {SIGTERM, SIGINT, SIGUSR1, SIGHUP});
  while (const int signal = co_await signals.Next()) server.OnSignal(signal);
}

void Server::OnSignal(int signal) {
  if (signal == SIGTERM || signal == SIGINT) {
    if (draining_) {
      access_logs_.Flush(std::chrono::milliseconds(200));
      std::_Exit(0);
    }
    SLUICE_LOG(kInfo, kMain, "caught ", signal == SIGTERM ? "SIGTERM" : "SIGINT",
               ": draining; once more to exit at once");
    BeginDrain();
  }
  if (signal == SIGUSR1) ReopenLogs();
  if (signal == SIGHUP)
    SLUICE_LOG(kWarning, kMain, "SIGHUP is ignored: the configuration is not reloaded");
}

void Server::ReopenLogs() {
  access_logs_.Reopen();
  if (const absl::Status status = ReopenLog(); !status.ok())
    SLUICE_LOG(kError, kMain, Std(status.message()));
}

void Server::BeginDrain() {
  if (std::exchange(draining_, true)) return;
  main_.scope().Spawn(Drain(*this));
}

void Server::DrainListeners(const admin::DrainRequest& request) {
  for (const auto& listener : listeners_) {
    if (request.inbound_only &&
        listener->config().traffic_direction() != envoy::config::core::v3::INBOUND) {
      continue;
    }
    if (request.graceful || request.skip_exit) listener->Drain();
    if (request.skip_exit) continue;
    if (request.graceful) {
      main_.scope().Spawn(StopLater(*this, *listener));
    } else if (listener->StopAccepting()) {
      server_stats_.listener_stopped.Add();
    }
  }
}

Task<> Server::StopLater(Server& server, Listener& listener) {
  if (!co_await Sleep(std::chrono::seconds(server.options_.drain_time_s))) co_return;
  if (listener.StopAccepting()) server.server_stats_.listener_stopped.Add();
}

int64_t Server::OpenConnections() const {
  int64_t open = 0;
  for (const auto& listener : listeners_) open += listener->open();
  return open;
}

Task<> Server::Drain(Server& server) {
  for (const auto& listener : server.listeners_) End(*listener);
  // Let the workers hear of it before anything is counted.
  const TimePoint limit = Now() + std::chrono::seconds(server.options_.drain_time_s);
  do {
    if (!co_await Sleep(kPoll)) co_return;
  } while (server.OpenConnections() > 0 && Now() < limit);
  server.StopWorkers();
  if (server.admin_listener_ != nullptr) End(*server.admin_listener_);
  server.main_.Stop();
}

void Server::StopWorkers() {
  watchdog_.Stop();
  for (const auto& worker : workers_) {
    worker->Post([this, index = worker->index()] { clusters_.DropPools(index); });
    worker->Stop();
  }
  for (const auto& worker : workers_) worker->Join();
}

void Server::RefreshGauges() {
  clusters_.RefreshGauges();
  dns_caches_.RefreshStats();
  overload_.CountShed();
  server_stats_.concurrency.Set(static_cast<int64_t>(concurrency_));
  server_stats_.live.Set(state() == admin::ServerState::kLive);
  server_stats_.uptime.Set(Milliseconds(Now() - started_) / 1000);
  server_stats_.state.Set(static_cast<int64_t>(state()));
  server_stats_.total_connections.Set(OpenConnections());
  server_stats_.total_listeners_active.Set(static_cast<int64_t>(listeners_.size()));
  server_stats_.workers_started.Set(live_);
  server_stats_.hot_restart_generation.Set(1);
  server_stats_.stats_recent_lookups.Set(static_cast<int64_t>(stats_.RecentLookUps().total));
  server_stats_.version.Set(
      static_cast<int64_t>(bootstrap_.has_stats_server_version_override()
                               ? bootstrap_.stats_server_version_override().value()
                               : 0));
  server_stats_.days_until_first_cert_expiring.Set(std::numeric_limits<uint32_t>::max());
  const struct mallinfo2 memory = ::mallinfo2();
  server_stats_.memory_allocated.Set(static_cast<int64_t>(memory.uordblks + memory.hblkhd));
  server_stats_.memory_heap_size.Set(static_cast<int64_t>(memory.arena + memory.hblkhd));
  long pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  server_stats_.memory_physical_size.Set(pages * ::sysconf(_SC_PAGESIZE));
}

}  // namespace sluice
