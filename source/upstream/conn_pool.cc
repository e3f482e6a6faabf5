// Keeping, lending and counting upstream connections. Worker thread only.
#include "source/upstream/conn_pool.h"

#include <algorithm>
#include <atomic>

#include "source/base/reason.h"
#include "source/net/connection_id.h"
#include "source/upstream/transport.h"

namespace sluice {
namespace {

// A connection that is idle for less than this is not watched: a busy one never pays for the watch.
constexpr Duration kWatchAfter = std::chrono::seconds(1);

// So many connections are begun for one request, ahead of need or not.
constexpr int kMostAtOnce = 3;

// The connection is the exchange's from now on.
ConnPool::Acquired Given(std::shared_ptr<PooledSession> session, bool reused, Exchange& exchange) {
  exchange.upstream.connection_id = session->id();
  exchange.time.upstream_connecting = session->begun;
  exchange.time.upstream_connected = session->created();
  return {SessionLease(std::move(session)), reused};
}

// Counts a request that waits for its connection.
class Pending {
 public:
  Pending(const ClusterStats& stats, const HostStats& host, int worker)
      : stats_(stats), host_(host), unit_(host.use.get(), HostResource::kPending, worker) {
    stats_.upstream_rq_pending_total.Add();
    stats_.upstream_rq_pending_active.Add();
    host_.rq_pending.Add();
  }
  Pending(const Pending&) = delete;
  ~Pending() {
    stats_.upstream_rq_pending_active.Sub();
    host_.rq_pending.Sub();
  }

 private:
  const ClusterStats& stats_;
  const HostStats& host_;
  const HostUnit unit_;
};

// As Envoy writes it: "delayed_connect_error:_Connection_refused", "failed_to_bind_to_...".
std::string TransportFailure(const absl::Status& error) {
  const bool ours = ReasonOf(error) == Reason::kBindFailed;
  std::string text = Cat(ours ? "" : "delayed_connect_error: ", Std(error.message()));
  std::replace(text.begin(), text.end(), ' ', '_');
  return text;
}

}  // namespace

PooledSession::PooledSession(std::shared_ptr<ConnPool> pool, StreamPtr stream, Units units,
                             uint64_t id, Tie tie)
    : ClientSession(pool->worker(), std::move(stream), pool->cluster().session_limits(),
                    {pool->cluster().stats().upstream_cx_rx_bytes_total,
                     pool->cluster().stats().upstream_cx_tx_bytes_total}),
      pool_(std::move(pool)),
      units_(std::move(units)),
      id_(id),
      tie_(std::move(tie)) {}

PooledSession::~PooledSession() {
  const ClusterStats& stats = pool_->cluster().stats();
  stats.upstream_cx_active.Sub();
  stats.upstream_cx_destroy.Add();
  (peer_closed() ? stats.upstream_cx_destroy_remote : stats.upstream_cx_destroy_local).Add();
  if (busy()) {
    stats.upstream_cx_destroy_with_active_rq.Add();
    (peer_closed() ? stats.upstream_cx_destroy_remote_with_active_rq
                   : stats.upstream_cx_destroy_local_with_active_rq)
        .Add();
  }
  stats.upstream_cx_length_ms.Record(static_cast<uint64_t>(Milliseconds(Now() - created_)));
  stats.upstream_rq_per_cx.Record(requests);
  pool_->host().cx_active.Sub();
  units_ = Units();
  pool_->GiveUp();
}

void PooledSession::OnReleased(std::shared_ptr<ClientSession> self) {
  pool_->Return(std::static_pointer_cast<PooledSession>(std::move(self)));
}

Duration PooledSession::IdleLeft() const {
  const Duration limit = pool_->cluster().settings().idle_timeout;
  return limit > Duration::zero() ? limit - (Now() - idle_since_) : Duration::max();
}

Duration PooledSession::LifeLeft() const {
  const Duration limit = pool_->cluster().settings().max_connection_duration;
  return limit > Duration::zero() ? limit - (Now() - created_) : Duration::max();
}

void PooledSession::OnTimer() {
  if (!idle_) return;
  const Duration idle = IdleLeft(), left = std::min(idle, LifeLeft());
  if (left <= Duration::zero()) {
    const ClusterStats& stats = pool_->cluster().stats();
    (idle <= Duration::zero() ? stats.upstream_cx_idle_timeout
                              : stats.upstream_cx_max_duration_reached)
        .Add();
    const std::shared_ptr<PooledSession> self = pool_->TakeOut(pool_->Find(*this));
    return Close();
  }
  if (left != Duration::max()) pool_->worker_.wheel().Arm(*this, left);
  if (std::exchange(watched_, true)) return;
  // Last: where the peer has closed already the watch ends at once, and this session with it.
  pool_->worker_.scope().Spawn(WatchIdle(*pool_->Find(*this)));
}

// Waits for the peer to close a kept connection (or to speak out of turn) and then drops it.
Task<> PooledSession::WatchIdle(std::shared_ptr<PooledSession> self) {
  (void)co_await self->WaitReadable();
  self->watched_ = false;
  if (!self->idle_) co_return;
  self->pool_->TakeOut(self->pool_->Find(*self))->Close();
}

ConnPool::ConnPool(const Cluster& cluster, std::shared_ptr<const HostStats> host,
                   std::vector<Address> addresses, Worker& worker)
    : cluster_(cluster),
      host_(std::move(host)),
      addresses_(std::move(addresses)),
      worker_(worker) {}

ConnPool::~ConnPool() = default;

bool ConnPool::Suits(const PooledSession& session, const Wish& wish) {
  if (session.tie_ != wish.tie) return false;
  return wish.wanted == Wanted::kAny || (wish.wanted == Wanted::kUnused && session.requests == 0);
}

ConnPool::IdleList::iterator ConnPool::Find(const PooledSession& session) {
  return std::find_if(idle_.begin(), idle_.end(),
                      [&](const auto& each) { return each.get() == &session; });
}

std::shared_ptr<PooledSession> ConnPool::TakeOut(IdleList::iterator at) {
  std::shared_ptr<PooledSession> session = std::move(*at);
  idle_.erase(at);
  session->idle_ = false;  // Its timer stays armed, for its next rest: see TimerWheel::Arm.
  return session;
}

std::shared_ptr<PooledSession> ConnPool::TakeIdle(const Wish& wish) {
  // As a rule the one that was used last suits.
  for (size_t i = idle_.size(); i-- > 0;) {
    if (!Suits(*idle_[i], wish)) continue;
    std::shared_ptr<PooledSession> session =
        TakeOut(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    if (MayKeep(*session)) return session;
  }
  return nullptr;
}

bool ConnPool::MayKeep(const PooledSession& session) const {
  const ClusterSettings& settings = cluster_.settings();
  if (closed_ || !session.reusable()) return false;
  if (settings.max_requests_per_connection != 0 &&
      session.requests >= settings.max_requests_per_connection) {
    cluster_.stats().upstream_cx_max_requests.Add();
    return false;
  }
  if (session.LifeLeft() <= Duration::zero()) {
    cluster_.stats().upstream_cx_max_duration_reached.Add();
    return false;
  }
  return true;
}

Task<absl::StatusOr<ConnPool::Acquired>> ConnPool::Acquire(Exchange& exchange, Priority priority,
                                                           Wanted wanted) {
  Wish wish{wanted, TieOf(exchange)};
  if (auto session = TakeIdle(wish)) {
    KeepAhead(priority, kMostAtOnce);
    exchange.upstream.pool_wait = Duration::zero();
    return Given(std::move(session), true, exchange);
  }
  return AcquireNew(exchange, priority, std::move(wish));
}

PooledSession::Tie ConnPool::TieOf(const Exchange& exchange) const {
  const ClusterSettings& settings = cluster_.settings();
  PooledSession::Tie tie;
  if (settings.pool_per_downstream) tie.downstream = exchange.connection().id;
  if (settings.transport != nullptr) tie.beginning = settings.transport->BeginningFor(exchange);
  return tie;
}

Task<absl::StatusOr<ConnPool::Acquired>> ConnPool::AcquireNew(Exchange& exchange, Priority priority,
                                                              Wish wish) {
  // Until it has a connection a request is pending, also while the connection is being made.
  const BreakerUnit unit =
      BreakerUnit::Try(cluster_.breaker(priority), Resource::kPending, worker_.index());
  if (!unit) {
    cluster_.stats().upstream_rq_pending_overflow.Add();
    exchange.upstream.pool_wait = Duration::zero();
    co_return MakeError(Reason::kOverflow);
  }
  if (use() != nullptr && !use()->Admits(HostResource::kPending)) {
    use()->Count(HostCount::kRqOverflow, worker_.index());
    exchange.upstream.pool_wait = Duration::zero();
    co_return MakeError(Reason::kOverflow);
  }
  const TimePoint start = Now();
  const Pending pending(cluster_.stats(), *host_, worker_.index());
  auto turn = co_await WaitForTurn(exchange, priority, wish);
  if (!turn.ok()) {
    cluster_.stats().upstream_rq_cancelled.Add();
    co_return turn.status();
  }
  if (turn->session != nullptr) {
    exchange.upstream.pool_wait = Now() - start;
    co_return Given(std::move(turn->session), true, exchange);
  }
  KeepAhead(priority, kMostAtOnce - 1);
  const TimePoint begun = Now();
  // Those of an earlier attempt's connection.
  exchange.time.upstream_connecting = exchange.time.upstream_connected = TimePoint{};
  auto stream =
      co_await Connect(exchange.canceller(), wish.tie.beginning, wish.wanted != Wanted::kUnused);
  if (!stream.ok()) {
    turn->units = {};
    GiveUp();
    if (ReasonOf(stream.status()) == Reason::kCancelled) {
      cluster_.stats().upstream_rq_cancelled.Add();
      co_return stream.status();
    }
    exchange.upstream.pool_wait = Now() - start;
    cluster_.stats().upstream_rq_pending_failure_eject.Add();
    if (ReasonOf(stream.status()) == Reason::kConnectRefused ||
        ReasonOf(stream.status()) == Reason::kBindFailed)
      exchange.upstream.transport_failure = TransportFailure(stream.status());
    co_return stream.status();
  }
  auto session = std::make_shared<PooledSession>(shared_from_this(), *std::move(stream),
                                                 std::move(turn->units), NextConnectionId(worker_),
                                                 std::move(wish.tie));
  session->begun = begun;
  exchange.upstream.pool_wait = session->created() - start;
  co_return Given(std::move(session), false, exchange);
}

std::optional<ConnPool::Turn> ConnPool::MayConnect(Priority priority, bool needed) {
  Turn turn;
  PooledSession::Units& units = turn.units;
  const auto per_host = cluster_.settings().max_connections_per_host[static_cast<size_t>(priority)];
  if (per_host.has_value()) units.host = HostPlace::Try(*host_, *per_host);
  const bool place = (units.host || !per_host.has_value()) &&
                     (use() == nullptr || use()->Admits(HostResource::kConnections));
  if (place)
    units.cluster =
        BreakerUnit::Try(cluster_.breaker(priority), Resource::kConnections, worker_.index());
  // A host without any connection may always have one that is needed, so that the connections of
  // others cannot starve it.
  if (!units.cluster && (connections_ > 0 || !needed)) return std::nullopt;
  if (!units.cluster) cluster_.stats().upstream_cx_overflow.Add();
  if (per_host.has_value() && !units.host) units.host = HostPlace(*host_);
  units.name = HostUnit(use(), HostResource::kConnections, worker_.index());
  ++connections_;
  return turn;
}

Task<absl::StatusOr<ConnPool::Turn>> ConnPool::WaitForTurn(Exchange& exchange, Priority priority,
                                                           const Wish& wish) {
  const ClusterStats& stats = cluster_.stats();
  bool overflowed = false;
  while (true) {
    if (auto leave = MayConnect(priority, true)) co_return *std::move(leave);
    if (!idle_.empty()) {
      // What does not suit makes room for what does.
      TakeOut(idle_.begin())->Close();
      continue;
    }
    if (!std::exchange(overflowed, true)) stats.upstream_cx_overflow.Add();
    Event turn;
    Waiter waiter{&turn, wish, nullptr};
    const auto place = waiters_.insert(waiters_.end(), &waiter);
    // Units that other workers give back are not announced here: look again now and then.
    const bool alive = co_await turn.WaitFor(std::chrono::milliseconds(50));
    waiters_.remove(*place);
    if (waiter.session != nullptr) {
      if (alive) co_return Turn{{}, std::move(waiter.session)};
      Offer(std::move(waiter.session));
    }
    if (!alive) co_return MakeError(Reason::kCancelled);
    if (auto session = TakeIdle(wish)) co_return Turn{{}, std::move(session)};
  }
}

Task<absl::StatusOr<StreamPtr>> ConnPool::Connect(Canceller& canceller, std::string_view beginning,
                                                  bool http) {
  const ClusterStats& stats = cluster_.stats();
  stats.upstream_cx_total.Add();
  stats.upstream_cx_active.Add();
  if (http) stats.upstream_cx_http1_total.Add();
  host_->cx_total.Add();
  if (use() != nullptr) use()->Count(HostCount::kCxTotal, worker_.index());
  const TimePoint start = Now();
  auto stream = co_await Dial(canceller, beginning);
  if (stream.ok()) {
    stats.upstream_cx_connect_ms.Record(static_cast<uint64_t>(Milliseconds(Now() - start)));
    host_->cx_active.Add();
    co_return stream;
  }
  stats.upstream_cx_active.Sub();
  const Reason reason = ReasonOf(stream.status());
  stats.upstream_cx_destroy.Add();
  const bool refused = reason != Reason::kCancelled && reason != Reason::kConnectTimeout;
  (refused ? stats.upstream_cx_destroy_remote : stats.upstream_cx_destroy_local).Add();
  if (reason == Reason::kCancelled) co_return stream.status();
  stats.upstream_cx_connect_fail.Add();
  host_->cx_connect_fail.Add();
  if (use() != nullptr) use()->Count(HostCount::kCxConnectFail, worker_.index());
  if (reason == Reason::kConnectTimeout) stats.upstream_cx_connect_timeout.Add();
  co_return stream.status();
}

// As Envoy counts: with this many more requests there would not be `ratio` connections for each.
bool ConnPool::WantsMore(double ratio, size_t more) const {
  const PoolLoad now = load();
  return static_cast<double>(now.requests + more) * ratio > static_cast<double>(now.connections);
}

void ConnPool::KeepAhead(Priority priority, int most) {
  const double ratio = cluster_.settings().preconnect_ratio;
  if (ratio <= 1) return;
  for (int i = 0; i < most && WantsMore(ratio, 0) && Preconnect(priority); ++i) {
  }
}

bool ConnPool::Anticipate(Priority priority, double ratio) {
  return WantsMore(ratio, 1) && Preconnect(priority);
}

bool ConnPool::Preconnect(Priority priority) {
  // What belongs to one client cannot be made before it is there.
  const ClusterSettings& settings = cluster_.settings();
  if (settings.pool_per_downstream || settings.transport != nullptr) return false;
  if (closed_ || host_->health.health() != Health::kHealthy) return false;
  auto turn = MayConnect(priority, false);
  if (!turn.has_value()) {
    cluster_.stats().upstream_cx_overflow.Add();
    return false;
  }
  ++connecting_ahead_;
  auto canceller = std::make_shared<Canceller>();
  worker_.scope().Spawn(ConnectAhead(shared_from_this(), std::move(turn->units), canceller),
                        *canceller);
  return true;
}

// Nobody waits for it: when it fails, the next request tries again.
Task<> ConnPool::ConnectAhead(std::shared_ptr<ConnPool> self, PooledSession::Units units,
                              std::shared_ptr<Canceller> canceller) {
  const TimePoint begun = Now();
  auto stream = co_await self->Connect(*canceller, "", true);
  --self->connecting_ahead_;
  // The canceller must be there until the scope has let this task go.
  self->worker_.Post([canceller] {});
  if (!stream.ok()) {
    units = {};
    self->GiveUp();
    co_return;
  }
  auto session =
      std::make_shared<PooledSession>(self, *std::move(stream), std::move(units),
                                      NextConnectionId(self->worker_), PooledSession::Tie());
  session->begun = begun;
  self->Offer(std::move(session));
}

// A connection that has begun as it must.
Task<absl::StatusOr<StreamPtr>> ConnPool::Dial(Canceller& canceller, std::string_view beginning) {
  auto stream =
      co_await sluice::Connect(worker_, canceller, cluster_.dialer(), addresses_,
                               cluster_.settings().dial, cluster_.settings().connect_timeout);
  if (!stream.ok() || beginning.empty()) co_return stream;
  const std::string_view part[] = {beginning};
  const absl::Status written = co_await (*stream)->Write(part);
  if (written.ok()) co_return stream;
  if (ReasonOf(written) == Reason::kCancelled) co_return written;
  co_return MakeError(Reason::kConnectRefused, Std(written.message()));
}

void ConnPool::WakeOne() {
  if (!waiters_.empty()) waiters_.front()->turn->Set();
}

void ConnPool::GiveUp() {
  --connections_;
  WakeOne();
}

void ConnPool::Return(std::shared_ptr<PooledSession> session) {
  ++session->requests;
  Offer(std::move(session));
}

void ConnPool::Offer(std::shared_ptr<PooledSession>&& session) {
  if (!MayKeep(*session)) {
    session->Close();
    return;  // The last reference, unless a body is still being pumped into it.
  }
  for (Waiter* waiter : waiters_) {
    if (waiter->session != nullptr || !Suits(*session, waiter->wish)) continue;
    waiter->session = std::move(session);
    waiter->turn->Set();
    return;
  }
  session->Shelve();
  session->idle_ = true;
  session->idle_since_ = Now();
  PooledSession& kept = *session;
  idle_.push_back(std::move(session));
  if (!waiters_.empty()) WakeOne();               // It may be closed for one that will do.
  if (kept.requests == 0) return kept.OnTimer();  // A tunnel takes it as it is: watch it at once.
  worker_.wheel().Arm(kept, std::min({kWatchAfter, kept.IdleLeft(), kept.LifeLeft()}));
}

void ConnPool::AddTunnel(const std::shared_ptr<ClientSession>& session) {
  // Those that have ended make room before the list grows.
  if (tunnels_.size() == tunnels_.capacity()) {
    tunnels_.erase(std::remove_if(tunnels_.begin(), tunnels_.end(),
                                  [](const auto& tunnel) { return tunnel.expired(); }),
                   tunnels_.end());
  }
  tunnels_.push_back(session);
}

void ConnPool::CloseTunnels() {
  for (const auto& tunnel : std::exchange(tunnels_, {})) {
    if (const auto session = tunnel.lock()) session->Close();
  }
}

void ConnPool::Close() {
  closed_ = true;
  // Moved out first: a dying session calls back into this pool.
  auto idle = std::exchange(idle_, {});
  for (auto& session : idle) {
    session->idle_ = false;
    session->Close();
  }
}

void DropPool(const Endpoint& endpoint, int worker, bool close_tunnels) {
  const std::shared_ptr<ConnPool> pool = std::move(endpoint.pool(worker));
  if (pool == nullptr) return;
  if (close_tunnels) pool->CloseTunnels();
  pool->Close();
}

}  // namespace sluice
