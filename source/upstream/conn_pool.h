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
  /// What a connection takes of what is limited, from when it is begun.
  struct Units {
    BreakerUnit cluster;
    HostPlace host;
    HostUnit name;
  };
  /// What a connection can serve.
  struct Tie {
    uint64_t downstream = 0;  // the only downstream connection; 0: any
    std::string beginning;    // what was written first; see UpstreamTransport
    bool operator==(const Tie&) const = default;
  };
  PooledSession(std::shared_ptr<ConnPool> pool, StreamPtr stream, Units units, uint64_t id,
                Tie tie);
  ~PooledSession() override;

  uint64_t id() const { return id_; }
  TimePoint created() const { return created_; }
  uint32_t requests = 0;
  TimePoint begun{};  // when it began to be made

 private:
  friend class ConnPool;
  void OnReleased(std::shared_ptr<ClientSession> self) override;
  void OnTimer() override;
  /// Until the connection has been idle, or has lived, for as long as it may; Duration::max():
  /// without end.
  Duration IdleLeft() const;
  Duration LifeLeft() const;
  static Task<> WatchIdle(std::shared_ptr<PooledSession> self);

  const std::shared_ptr<ConnPool> pool_;
  Units units_;
  const uint64_t id_;
  const Tie tie_;
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
  /// Which connection will do: any, one that carried nothing yet (made ahead of need), or none but
  /// one that is made now.
  enum class Wanted : uint8_t { kAny, kUnused, kNew };
  /// A connection for one request; the caller holds the pool meanwhile. Errors: kOverflow,
  /// kConnectRefused, kBindFailed, kConnectTimeout, kCancelled.
  Task<absl::StatusOr<Acquired>> Acquire(Exchange& exchange, Priority priority, Wanted wanted);

  PoolLoad load() const {
    return {connections_ - idle_.size() - connecting_ahead_ + waiters_.size(), connections_};
  }
  /// Begins a connection ahead of need, if there were fewer than `ratio` for each request with one
  /// request more, and the breakers allow it. False when it did not.
  bool Anticipate(Priority priority, double ratio);

  /// Closes what is idle and keeps nothing from now on.
  void Close();
  /// Remembers a connection that carries a tunnel from now on, for CloseTunnels().
  void AddTunnel(const std::shared_ptr<ClientSession>& session);
  /// Ends all that AddTunnel() was told of.
  void CloseTunnels();

  const Cluster& cluster() const { return cluster_; }
  const HostStats& host() const { return *host_; }
  Worker& worker() { return worker_; }

 private:
  friend class PooledSession;
  struct Wish {
    Wanted wanted;
    PooledSession::Tie tie;
  };
  struct Waiter {
    Event* turn;
    const Wish& wish;
    std::shared_ptr<PooledSession> session;  // handed over; null: try again
  };

  Task<absl::StatusOr<Acquired>> AcquireNew(Exchange& exchange, Priority priority, Wish wish);
  PooledSession::Tie TieOf(const Exchange& exchange) const;
  void Return(std::shared_ptr<PooledSession> session);
  /// Hands it to who waits, or keeps it.
  void Offer(std::shared_ptr<PooledSession>&& session);
  /// A connection is no more, or could not be made.
  void GiveUp();
  static bool Suits(const PooledSession& session, const Wish& wish);
  bool MayKeep(const PooledSession& session) const;
  std::shared_ptr<PooledSession> TakeIdle(const Wish& wish);
  using IdleList = std::vector<std::shared_ptr<PooledSession>>;
  IdleList::iterator Find(const PooledSession& session);
  /// It is idle no more.
  std::shared_ptr<PooledSession> TakeOut(IdleList::iterator at);
  /// Leave to make a connection, or in its place a kept one.
  struct Turn {
    PooledSession::Units units;
    std::shared_ptr<PooledSession> session;
  };
  HostUse* use() const { return host_->use.get(); }
  /// Leave to make a connection; nullopt when there are enough. `needed`: a request waits for it.
  std::optional<Turn> MayConnect(Priority priority, bool needed);
  /// The same, at once or when a connection or a unit of a breaker is given back, however long that
  /// takes. Errors: kCancelled.
  Task<absl::StatusOr<Turn>> WaitForTurn(Exchange& exchange, Priority priority, const Wish& wish);
  /// `http`: it is counted as a connection of HTTP, which those for tunnels are not.
  Task<absl::StatusOr<StreamPtr>> Connect(Canceller& canceller, std::string_view beginning,
                                          bool http);
  Task<absl::StatusOr<StreamPtr>> Dial(Canceller& canceller, std::string_view beginning);
  bool WantsMore(double ratio, size_t more) const;
  /// Makes connections ahead of need, as far as per_upstream_preconnect_ratio wants them.
  void KeepAhead(Priority priority, int most);
  bool Preconnect(Priority priority);
  static Task<> ConnectAhead(std::shared_ptr<ConnPool> self, PooledSession::Units units,
                             std::shared_ptr<Canceller> canceller);
  void WakeOne();

  const Cluster& cluster_;
  const std::shared_ptr<const HostStats> host_;
  const std::vector<Address> addresses_;
  Worker& worker_;
  IdleList idle_;  // used last at the back
  std::list<Waiter*> waiters_;
  std::vector<std::weak_ptr<ClientSession>> tunnels_;  // those that have ended among them
  size_t connections_ = 0;                             // also those that are being made
  size_t connecting_ahead_ = 0;                        // those of them that nobody waits for
  bool closed_ = false;
};

/// The worker of that index: closes the endpoint's pool, if there is one; connections in use end
/// with their exchanges, but tunnels go on unless `close_tunnels`.
void DropPool(const Endpoint& endpoint, int worker, bool close_tunnels = false);

}  // namespace sluice
