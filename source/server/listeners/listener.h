// Listener: the sockets of one configured listener, one per worker and address, and the connections
// that came through them. Built and bound on the main thread; accepts on the workers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/envoy/config/listener/v3/listener.pb.h"
#include "source/base/overload_state.h"
#include "source/config/runtime.h"
#include "source/extension/listener_filter.h"
#include "source/extension/network_filter.h"
#include "source/extension/registry.h"
#include "source/net/address.h"
#include "source/net/listen_socket.h"
#include "source/observe/stats/stats.h"
#include "source/server/listeners/filter_chains.h"

namespace sluice {

struct ListenerSettings {
  std::string name;
  std::vector<Address> addresses;
  ListenOptions options;
  std::string stat_prefix;
  Duration listener_filters_timeout = std::chrono::seconds(15);  // zero: no limit
  bool continue_on_listener_filters_timeout = false;
  uint32_t accepts_per_event = 64;  // then open connections get their turn
  size_t buffer_limit = 1024 * 1024;
  bool counts_globally = true;  // against the ConnectionBudget
  const OverloadState* overload = &OverloadState::Calm();
  config::RuntimeUInt32 max_connections{nullptr, "", UINT32_MAX};
  std::vector<AccessLoggerPtr> access_logs;  // of connections
};

/// Limits the connections of the whole process, so that descriptors for upstream connections and
/// logs are left.
class ConnectionBudget {
 public:
  explicit ConnectionBudget(int64_t limit) : limit_(limit) {}
  bool Take() { return used_.fetch_add(1, std::memory_order_relaxed) < limit_ || (Give(), false); }
  void Give() { used_.fetch_sub(1, std::memory_order_relaxed); }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  int64_t limit() const { return limit_; }
  /// Main thread, before the first connection.
  void SetLimit(int64_t limit) { limit_ = limit; }

 private:
  int64_t limit_;
  std::atomic<int64_t> used_{0};
};

class Listener {
 public:
  Listener(ListenerSettings settings, envoy::config::listener::v3::Listener config,
           std::vector<std::unique_ptr<const ListenerFilter>> listener_filters,
           FilterChainTable chains, stats::Store& stats, ConnectionBudget& budget);
  ~Listener();
  Listener(const Listener&) = delete;

  /// Main thread: opens the sockets of `workers` workers; port 0 becomes a real port. Unavailable
  /// with the address and the system's words.
  absl::Status Bind(size_t workers);

  /// Main thread: begins to accept, each worker on its own socket.
  void Start(const std::vector<Worker*>& workers);
  /// Worker `index`, after Start: serves a connection that did not come through a socket of the
  /// listener, such as one in memory.
  void AdoptForTest(size_t index, StreamPtr stream) { Welcome(*locals_[index], std::move(stream)); }
  /// Main thread: closes the sockets, on every worker; nothing before Start. Leaves the connections
  /// alone. False when it was called before.
  bool StopAccepting();
  /// Main thread.
  bool stopped() const { return stopped_; }
  /// Main thread: tells every connection, also those to come, to end when it can; nothing before
  /// Start. Leaves the sockets alone.
  void Drain();

  const std::string& name() const { return settings_.name; }
  /// After Bind: with real ports.
  const std::vector<Address>& addresses() const { return settings_.addresses; }
  const envoy::config::listener::v3::Listener& config() const { return config_; }
  /// Connections that are open now, also those that no filter chain has yet. Any thread.
  int64_t open() const { return open_.load(std::memory_order_relaxed); }

 private:
  struct Stats {
    explicit Stats(const stats::Scope& scope);
    Counter cx_total, cx_destroy, global_cx_overflow, overload_reject, accept_failures;
    Counter no_filter_chain_match, pre_cx_timeout, listener_filter_error;
    Counter cx_overflow, listener_filter_remote_close;
    Gauge cx_active, pre_cx_active;
    Histogram cx_length_ms, accepted_per_event;
  };
  // listener.<address>.worker_<index>: how evenly the system shares connections out.
  struct OnWorker {
    Counter cx_total;
    Gauge cx_active;
  };
  struct PerWorker;  // what one worker holds

  static Task<> Accept(Listener& listener, PerWorker& local, ListenSocket& socket);
  bool MayServe(Worker& worker);
  static Scope::Spawned Serve(Scope& scope, Canceller& canceller, Listener& listener,
                              std::unique_ptr<Connection> connection);
  static Task<bool> Inspect(Listener& listener, Connection& connection);
  Task<> RunChain(Connection& connection) const;
  void Log(Connection& connection) const;
  void Welcome(PerWorker& local, StreamPtr stream);
  stats::Scope scope() const;
  const OnWorker& on(const Worker& worker) const {
    return on_workers_[worker.index() == Worker::kMain ? 0 : static_cast<size_t>(worker.index())];
  }

  ListenerSettings settings_;
  const envoy::config::listener::v3::Listener config_;
  const ChainFacts no_chain_;  // of connections that no chain takes
  const std::vector<std::unique_ptr<const ListenerFilter>> listener_filters_;
  const FilterChainTable chains_;
  stats::Store& store_;
  ConnectionBudget& budget_;
  std::atomic<int64_t> open_{0};  // against settings_.max_connections
  bool stopped_ = false;          // main thread
  std::unique_ptr<const Stats> stats_;
  std::vector<OnWorker> on_workers_;                // by worker; from Start() on
  std::vector<std::vector<int>> sockets_;           // by worker; until Start()
  std::vector<std::unique_ptr<PerWorker>> locals_;  // each touched by its worker once started
};

}  // namespace sluice
