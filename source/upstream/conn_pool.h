// ConnPool: the HTTP/1.1 connections of one worker to one endpoint. A request takes the connection
// that was used last; when there is none and the breaker allows it, it makes one within its own
// time; otherwise it waits its turn. Belongs to one worker.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "source/http/h1/client_session.h"
#include "source/upstream/circuit_breaker.h"
#include "source/upstream/cluster.h"

namespace sluice {

class ConnPool;

/// A pooled connection. Counts itself in the cluster's and the host's figures from when it is
/// connected until it dies.
class PooledSession final : public ClientSession, private Timer {
 public:
  /// `beginning`: see UpstreamTransport.
  PooledSession(std::shared_ptr<ConnPool> pool, StreamPtr stream, BreakerUnit unit, HostPlace place,
                uint64_t id, std::string beginning);
  ~PooledSession() override;

  uint64_t id() const { return id_; }
  uint32_t requests = 0;

 private:
  friend class ConnPool;
  void OnReleased(std::shared_ptr<ClientSession> self) override;
  void OnTimer() override;
  static Task<> WatchIdle(std::shared_ptr<PooledSession> self);

  const std::shared_ptr<ConnPool> pool_;
  BreakerUnit unit_;
  HostPlace place_;
  const uint64_t id_;
  const std::string beginning_;
  const TimePoint created_ = Now();
  TimePoint idle_since_{};
  bool idle_ = false;
  bool watched_ = false;
};

class ConnPool : public std::enable_shared_from_this<ConnPool> {
 public:
  ConnPool(const Cluster& cluster, std::shared_ptr<const HostStats> host,
           std::vector<Address> addresses, Worker& worker);
  ~ConnPool();

  struct Acquired {
    SessionLease lease;
    bool reused = false;
  };
  /// A connection for one request. `fresh`: not a kept one. Errors: kOverflow, kConnectRefused,
  /// kConnectTimeout, kCancelled.
  Task<absl::StatusOr<Acquired>> Acquire(Exchange& exchange, Priority priority, bool fresh);

  /// Closes what is idle and keeps nothing from now on.
  void Close();
  /// Remembers a connection that carries a tunnel from now on, for CloseTunnels().
  void AddTunnel(const std::shared_ptr<ClientSession>& session);
  void CloseTunnels();

  const Cluster& cluster() const { return cluster_; }
  const HostStats& host() const { return *host_; }
  Worker& worker() { return worker_; }

 private:
  friend class PooledSession;
  struct Waiter {
    Event* turn;
    const std::string& beginning;            // that the connection must have
    std::shared_ptr<PooledSession> session;  // handed over; null: try again
  };

  void Return(std::shared_ptr<PooledSession> session);
  void Forget(PooledSession& session);
  bool MayKeep(const PooledSession& session) const;
  /// Empty for all where the cluster's connections begin with nothing of their own.
  std::string BeginningFor(const Exchange& exchange) const;
  std::shared_ptr<PooledSession> TakeIdle(std::string_view beginning);
  /// Makes room for a connection of another beginning.
  void DropOldest();
  /// A unit of the connection breaker: at once, or when one is given back, or kOverflow. A kept
  /// connection may come instead.
  struct Turn {
    BreakerUnit unit;
    HostPlace place;
    std::shared_ptr<PooledSession> session;
  };
  /// Leave to make a connection; nullopt when there are enough.
  std::optional<Turn> MayConnect(Priority priority);
  Task<absl::StatusOr<Turn>> WaitForTurn(std::string beginning, Priority priority, bool fresh);
  Task<absl::StatusOr<StreamPtr>> Connect(Exchange& exchange);
  Task<absl::StatusOr<StreamPtr>> Dial(Exchange& exchange);
  void WakeOne();

  const Cluster& cluster_;
  const std::shared_ptr<const HostStats> host_;
  const std::vector<Address> addresses_;
  Worker& worker_;
  std::vector<std::shared_ptr<PooledSession>> idle_;  // used last at the back
  std::list<Waiter*> waiters_;
  std::vector<std::weak_ptr<ClientSession>> tunnels_;  // those that have ended among them
  size_t connections_ = 0;
  bool closed_ = false;
};

}  // namespace sluice
