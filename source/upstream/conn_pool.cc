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
constexpr Duration kWatchAfter = std::chrono::milliseconds(200);

// The connection is the exchange's from now on.
ConnPool::Acquired Given(std::shared_ptr<PooledSession> session, bool reused, Exchange& exchange) {
  exchange.upstream.connection_id = session->id();
  return {SessionLease(std::move(session)), reused};
}

// Counts a request that waits for its connection.
class Pending {
 public:
  Pending(const ClusterStats& stats, const HostStats& host) : stats_(stats), host_(host) {
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
};

}  // namespace

PooledSession::PooledSession(std::shared_ptr<ConnPool> pool, StreamPtr stream, BreakerUnit unit,
                             HostPlace place, uint64_t id, std::string beginning)
    : ClientSession(pool->worker(), std::move(stream),
                    {pool->cluster().settings().max_response_headers,
                     pool->cluster().settings().max_response_headers_bytes,
                     pool->cluster().settings().buffer_limit},
                    {pool->cluster().stats().upstream_cx_rx_bytes_total,
                     pool->cluster().stats().upstream_cx_tx_bytes_total}),
      pool_(std::move(pool)),
      unit_(std::move(unit)),
      place_(std::move(place)),
      id_(id),
      beginning_(std::move(beginning)) {}

PooledSession::~PooledSession() {
  const ClusterStats& stats = pool_->cluster().stats();
  stats.upstream_cx_active.Sub();
  stats.upstream_cx_destroy.Add();
  (peer_closed() ? stats.upstream_cx_destroy_remote : stats.upstream_cx_destroy_local).Add();
  stats.upstream_cx_length_ms.Record(static_cast<uint64_t>(Milliseconds(Now() - created_)));
  stats.upstream_rq_per_cx.Record(requests);
  pool_->host().cx_active.Sub();
  unit_ = BreakerUnit();
  place_ = HostPlace();
  pool_->Forget(*this);
}

void PooledSession::OnReleased(std::shared_ptr<ClientSession> self) {
  pool_->Return(std::static_pointer_cast<PooledSession>(std::move(self)));
}

void PooledSession::OnTimer() {
  if (!idle_) return;
  const Duration limit = pool_->cluster().settings().idle_timeout;
  const Duration idle = Now() - idle_since_;
  if (limit > Duration::zero() && idle >= limit) {
    pool_->cluster().stats().upstream_cx_idle_timeout.Add();
    Close();
    auto& list = pool_->idle_;
    list.erase(std::find_if(list.begin(), list.end(),
                            [this](const auto& session) { return session.get() == this; }));
    return;
  }
  if (limit > Duration::zero()) pool_->worker_.wheel().Arm(*this, limit - idle);
  if (std::exchange(watched_, true)) return;
  const auto self = std::find_if(pool_->idle_.begin(), pool_->idle_.end(),
                                 [this](const auto& s) { return s.get() == this; });
  // Last: where the peer has closed already the watch ends at once, and this session with it.
  pool_->worker_.scope().Spawn(WatchIdle(*self));
}

// Waits for the peer to close a kept connection (or to speak out of turn) and then drops it.
Task<> PooledSession::WatchIdle(std::shared_ptr<PooledSession> self) {
  (void)co_await self->WaitReadable();
  self->watched_ = false;
  if (!self->idle_) co_return;
  self->Close();
  auto& list = self->pool_->idle_;
  list.erase(std::remove(list.begin(), list.end(), self), list.end());
}

ConnPool::ConnPool(const Cluster& cluster, std::shared_ptr<const HostStats> host,
                   std::vector<Address> addresses, Worker& worker)
    : cluster_(cluster),
      host_(std::move(host)),
      addresses_(std::move(addresses)),
      worker_(worker) {}

ConnPool::~ConnPool() = default;

std::string ConnPool::BeginningFor(const Exchange& exchange) const {
  const UpstreamTransport* transport = cluster_.settings().transport.get();
  return transport == nullptr ? std::string() : transport->BeginningFor(exchange);
}

std::shared_ptr<PooledSession> ConnPool::TakeIdle(std::string_view beginning) {
  for (size_t i = idle_.size(); i-- > 0;) {
    if (idle_[i]->beginning_ != beginning) continue;
    std::shared_ptr<PooledSession> session = std::move(idle_[i]);
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    session->idle_ = false;
    session->Disarm();
    if (MayKeep(*session)) return session;
  }
  return nullptr;
}

void ConnPool::DropOldest() {
  if (idle_.empty()) return;
  const std::shared_ptr<PooledSession> session = std::move(idle_.front());
  idle_.erase(idle_.begin());
  session->idle_ = false;
  session->Disarm();
  session->Close();
}

bool ConnPool::MayKeep(const PooledSession& session) const {
  const ClusterSettings& settings = cluster_.settings();
  if (closed_ || !session.reusable()) return false;
  if (settings.max_requests_per_connection != 0 &&
      session.requests >= settings.max_requests_per_connection) {
    cluster_.stats().upstream_cx_max_requests.Add();
    return false;
  }
  if (settings.max_connection_duration > Duration::zero() &&
      Now() - session.created_ >= settings.max_connection_duration) {
    cluster_.stats().upstream_cx_max_duration_reached.Add();
    return false;
  }
  return true;
}

Task<absl::StatusOr<ConnPool::Acquired>> ConnPool::Acquire(Exchange& exchange, Priority priority,
                                                           bool fresh) {
  std::string beginning = BeginningFor(exchange);
  if (!fresh) {
    if (auto session = TakeIdle(beginning)) co_return Given(std::move(session), true, exchange);
  }
  auto self = shared_from_this();  // The endpoint may drop the pool while we wait.
  // Until it has a connection a request is pending, also while the connection is being made.
  const BreakerUnit unit =
      BreakerUnit::Try(cluster_.breaker(priority), Resource::kPending, worker_.index());
  if (!unit) {
    cluster_.stats().upstream_rq_pending_overflow.Add();
    co_return MakeError(Reason::kOverflow);
  }
  const Pending pending(cluster_.stats(), *host_);
  auto turn = co_await WaitForTurn(beginning, priority, fresh);
  if (!turn.ok()) co_return turn.status();
  if (turn->session != nullptr) co_return Given(std::move(turn->session), true, exchange);
  auto stream = co_await Connect(exchange);
  if (!stream.ok()) {
    turn->unit = BreakerUnit();
    turn->place = HostPlace();
    --connections_;
    WakeOne();
    co_return stream.status();
  }
  co_return Given(std::make_shared<PooledSession>(self, *std::move(stream), std::move(turn->unit),
                                                  std::move(turn->place), NextConnectionId(worker_),
                                                  std::move(beginning)),
                  false, exchange);
}

std::optional<ConnPool::Turn> ConnPool::MayConnect(Priority priority) {
  Turn turn;
  const auto per_host = cluster_.settings().max_connections_per_host[static_cast<size_t>(priority)];
  if (per_host.has_value()) turn.place = HostPlace::Try(*host_, *per_host);
  const bool place = turn.place || !per_host.has_value();
  if (place)
    turn.unit =
        BreakerUnit::Try(cluster_.breaker(priority), Resource::kConnections, worker_.index());
  // A host without any connection may always have one, so that the connections of others cannot
  // starve it.
  if (!turn.unit && connections_ > 0) return std::nullopt;
  if (per_host.has_value() && !turn.place) turn.place = HostPlace(*host_);
  ++connections_;
  return turn;
}

Task<absl::StatusOr<ConnPool::Turn>> ConnPool::WaitForTurn(std::string beginning, Priority priority,
                                                           bool fresh) {
  const ClusterStats& stats = cluster_.stats();
  bool overflowed = false;
  while (true) {
    if (auto leave = MayConnect(priority)) co_return *std::move(leave);
    if (!std::exchange(overflowed, true)) stats.upstream_cx_overflow.Add();
    Event turn;
    Waiter waiter{&turn, beginning, nullptr};
    const auto place = waiters_.insert(waiters_.end(), &waiter);
    if (!beginning.empty()) DropOldest();
    // Units that other workers give back are not announced here: look again now and then.
    const bool alive = co_await turn.WaitFor(std::chrono::milliseconds(50));
    waiters_.remove(*place);
    if (waiter.session != nullptr) {
      if (alive) co_return Turn{BreakerUnit(), HostPlace(), std::move(waiter.session)};
      Return(std::move(waiter.session));
    }
    if (!alive) co_return MakeError(Reason::kCancelled);
    if (!fresh) {
      if (auto session = TakeIdle(beginning))
        co_return Turn{BreakerUnit(), HostPlace(), std::move(session)};
    }
  }
}

Task<absl::StatusOr<StreamPtr>> ConnPool::Connect(Exchange& exchange) {
  const ClusterStats& stats = cluster_.stats();
  stats.upstream_cx_total.Add();
  stats.upstream_cx_active.Add();
  host_->cx_total.Add();
  exchange.time.upstream_connecting = Now();
  auto stream = co_await Dial(exchange);
  if (stream.ok()) {
    exchange.time.upstream_connected = Now();
    stats.upstream_cx_http1_total.Add();
    stats.upstream_cx_connect_ms.Record(static_cast<uint64_t>(
        Milliseconds(exchange.time.upstream_connected - exchange.time.upstream_connecting)));
    host_->cx_active.Add();
    co_return stream;
  }
  stats.upstream_cx_active.Sub();
  const Reason reason = ReasonOf(stream.status());
  if (reason == Reason::kCancelled) co_return stream.status();
  stats.upstream_cx_connect_fail.Add();
  stats.upstream_rq_pending_failure_eject.Add();
  host_->cx_connect_fail.Add();
  if (reason == Reason::kConnectTimeout) stats.upstream_cx_connect_timeout.Add();
  exchange.upstream.transport_failure.clear();
  co_return stream.status();
}

// A connection that has begun as it must.
Task<absl::StatusOr<StreamPtr>> ConnPool::Dial(Exchange& exchange) {
  auto stream =
      co_await sluice::Connect(worker_, exchange.canceller(), cluster_.dialer(), addresses_,
                               cluster_.settings().dial, cluster_.settings().connect_timeout);
  if (!stream.ok() || cluster_.settings().transport == nullptr) co_return stream;
  const std::string beginning = BeginningFor(exchange);
  const std::string_view part[] = {beginning};
  const absl::Status written = co_await (*stream)->Write(part);
  if (written.ok()) co_return stream;
  if (ReasonOf(written) == Reason::kCancelled) co_return written;
  co_return MakeError(Reason::kConnectRefused, Std(written.message()));
}

void ConnPool::WakeOne() {
  if (!waiters_.empty()) waiters_.front()->turn->Set();
}

void ConnPool::Forget(PooledSession&) {
  --connections_;
  WakeOne();
}

void ConnPool::Return(std::shared_ptr<PooledSession> session) {
  ++session->requests;
  if (!MayKeep(*session)) {
    session->Close();
    return;  // The last reference, unless a body is still being pumped into it.
  }
  for (Waiter* waiter : waiters_) {
    if (waiter->session != nullptr || waiter->beginning != session->beginning_) continue;
    waiter->session = std::move(session);
    waiter->turn->Set();
    return;
  }
  session->Shelve();
  session->idle_ = true;
  session->idle_since_ = Now();
  const Duration limit = cluster_.settings().idle_timeout;
  worker_.wheel().Arm(*session,
                      limit > Duration::zero() ? std::min(limit, kWatchAfter) : kWatchAfter);
  idle_.push_back(std::move(session));
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

}  // namespace sluice
