// Sending a request to a cluster: breaker, endpoint, connection, exchange. See cluster.h for the
// threads.
#include "source/upstream/cluster.h"

#include <algorithm>

#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::cluster::v3;

Thresholds ThresholdsOf(const v3::CircuitBreakers& config,
                        envoy::config::core::v3::RoutingPriority priority) {
  Thresholds result;
  for (const auto& thresholds : config.thresholds()) {
    if (thresholds.priority() != priority) continue;
    if (thresholds.has_max_connections())
      result.max_connections = thresholds.max_connections().value();
    if (thresholds.has_max_pending_requests())
      result.max_pending_requests = thresholds.max_pending_requests().value();
    if (thresholds.has_max_requests()) result.max_requests = thresholds.max_requests().value();
    if (thresholds.has_max_retries()) result.max_retries = thresholds.max_retries().value();
    result.track_remaining = thresholds.track_remaining();
    break;  // The first entry of a priority counts.
  }
  return result;
}

// RFC 9110 9.2.2: these may be sent again when nobody can say whether they were processed.
bool IsIdempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" ||
         method == "PUT" || method == "DELETE";
}

// Counts a request as active while it lives.
class ActiveRequest {
 public:
  ActiveRequest(const ClusterStats& stats, EndpointPtr endpoint, int worker)
      : stats_(&stats), endpoint_(std::move(endpoint)), worker_(worker) {
    Count(1);
  }
  ActiveRequest(ActiveRequest&& other) noexcept = default;
  ~ActiveRequest() {
    if (endpoint_ != nullptr) Count(-1);
  }

 private:
  void Count(int64_t n) {
    stats_->upstream_rq_active.Add(n);
    endpoint_->stats().rq_active.Add(n);
    endpoint_->AddActive(worker_, n);
  }
  const ClusterStats* stats_;
  EndpointPtr endpoint_;
  int worker_;
};

// A response's body that keeps its request counted until it ends.
class CountedBody final : public Body, public Pooled<CountedBody> {
 public:
  CountedBody(BodyPtr body, ActiveRequest active, BreakerUnit unit)
      : unit_(std::move(unit)), active_(std::move(active)), body_(std::move(body)) {}

  Task<absl::StatusOr<Chunk>> Read() override { return body_->Read(); }
  bool Ready() const override { return body_->Ready(); }
  std::optional<uint64_t> Length() const override { return body_->Length(); }
  Headers* trailers() override { return body_->trailers(); }

 private:
  BreakerUnit unit_;
  ActiveRequest active_;
  BodyPtr body_;
};

// auto_host_rewrite: the origin sees its own name.
void RewriteHost(RequestHead& head, const Endpoint& endpoint, const SendOptions& options) {
  if (endpoint.hostname().empty()) return;
  if (options.original_host_header) head.headers.Set("x-envoy-original-host", head.authority);
  if (options.append_x_forwarded_host)
    head.headers.Append(HeaderId::kXForwardedHost, head.authority);
  head.authority = head.arena.Copy(endpoint.hostname());
}

}  // namespace

Cluster::Cluster(ClusterSettings settings, const v3::Cluster& config, const stats::Scope& scope,
                 const Dialer& dialer, size_t workers)
    : settings_(std::move(settings)),
      config_(config),
      stats_(scope),
      dialer_(dialer),
      workers_(workers),
      breakers_{
          std::make_unique<CircuitBreaker>(
              ThresholdsOf(config.circuit_breakers(), envoy::config::core::v3::DEFAULT), workers),
          std::make_unique<CircuitBreaker>(
              ThresholdsOf(config.circuit_breakers(), envoy::config::core::v3::HIGH), workers)},
      breaker_gauges_{
          {scope.Sub("circuit_breakers").Sub("default"),
           breakers_[0]->thresholds().track_remaining},
          {scope.Sub("circuit_breakers").Sub("high"), breakers_[1]->thresholds().track_remaining}} {
}

Cluster::~Cluster() = default;

bool AttemptedHosts::Has(const Endpoint& endpoint) const {
  return std::any_of(hosts.begin(), hosts.end(), [&](const EndpointPtr& host) {
    return host->address() == endpoint.address();
  });
}

std::shared_ptr<HostStats> Cluster::StatsFor(const std::string& key) {
  std::weak_ptr<HostStats>& known = hosts_[key];
  std::shared_ptr<HostStats> stats = known.lock();
  if (stats == nullptr) known = stats = std::make_shared<HostStats>();
  if (hosts_.size() > 4096)
    absl::erase_if(hosts_, [](const auto& entry) { return entry.second.expired(); });
  return stats;
}

ConnPool& Cluster::PoolFor(const Endpoint& endpoint, Worker& worker) const {
  std::shared_ptr<ConnPool>& pool = endpoint.pool(worker.index());
  if (pool == nullptr)
    pool = std::make_shared<ConnPool>(*this, endpoint.shared_stats(), endpoint.addresses(), worker);
  return *pool;
}

Task<absl::StatusOr<Response>> Cluster::Send(Request& request, Exchange& exchange,
                                             SendOptions options) const {
  BreakerUnit unit =
      BreakerUnit::Try(breaker(options.priority), Resource::kRequests, exchange.worker().index());
  if (!unit) {
    stats_.upstream_rq_active_overflow.Add();
    co_return MakeError(Reason::kOverflow);
  }
  auto endpoint = co_await Pick(options, exchange);
  if (!endpoint.ok()) {
    if (ReasonOf(endpoint.status()) == Reason::kNoHealthyUpstream)
      stats_.upstream_cx_none_healthy.Add();
    co_return endpoint.status();
  }
  if (options.attempted != nullptr) {
    AttemptedHosts& attempted = *options.attempted;
    for (uint32_t i = 0; i < attempted.selections && attempted.Has(**endpoint); ++i) {
      auto other = co_await Pick(options, exchange);
      if (!other.ok()) break;
      endpoint = std::move(other);
    }
    attempted.hosts.push_back(*endpoint);
  }
  exchange.upstream.host_name = (*endpoint)->hostname();
  exchange.upstream.remote = (*endpoint)->address();
  if (options.auto_host_rewrite) RewriteHost(*request.head, **endpoint, options);
  stats_.upstream_rq_total.Add();
  const HostStats& host = (*endpoint)->stats();
  host.rq_total.Add();
  ActiveRequest active(stats_, *endpoint, exchange.worker().index());
  absl::StatusOr<Response> response = co_await Try(request, exchange, options, **endpoint);
  (response.ok() && response->head->status < 500 ? host.rq_success : host.rq_error).Add();
  if (response.ok() && response->body != nullptr) {
    response->body = std::make_unique<CountedBody>(std::move(response->body), std::move(active),
                                                   std::move(unit));
  }
  co_return response;
}

// One request on one connection, or on a second one where the first had gone stale in the pool.
Task<absl::StatusOr<Response>> Cluster::Try(Request& request, Exchange& exchange,
                                            const SendOptions& options,
                                            const Endpoint& endpoint) const {
  const std::shared_ptr<ConnPool> pool = PoolFor(endpoint, exchange.worker()).shared_from_this();
  // A kept connection is asked first whether it still lives and is silent: bytes that came since
  // would be taken for the answer to this request. What may be repeated is sent again if the peer
  // closes just after that.
  const bool repeatable = request.body == nullptr && IsIdempotent(request.head->method) &&
                          request.head->upgrade.empty();
  for (bool fresh = false;; fresh = true) {
    auto acquired = co_await pool->Acquire(exchange, options.priority, fresh);
    while (acquired.ok() && acquired->reused && acquired->lease->IsStale()) {
      acquired = co_await pool->Acquire(exchange, options.priority, fresh);
    }
    if (!acquired.ok()) co_return acquired.status();
    Stream& stream = acquired->lease->stream();
    exchange.upstream.remote = stream.remote_address();
    exchange.upstream.local = stream.local_address();
    const bool may_repeat = acquired->reused && repeatable;
    // The session may be gone when RoundTrip returns an error; its word on the failure must be
    // kept.
    const std::shared_ptr<ClientSession> session = acquired->lease.shared();
    auto response =
        co_await ClientSession::RoundTrip(std::move(acquired->lease), request, exchange);
    if (response.ok()) co_return response;
    const Reason reason = ReasonOf(response.status());
    if (reason == Reason::kUpstreamProtocol) stats_.upstream_cx_protocol_error.Add();
    if (reason != Reason::kConnectionTerminated || !may_repeat || !session->untouched()) {
      if (reason == Reason::kCancelled) stats_.upstream_rq_cancelled.Add();
      if (reason == Reason::kConnectionTerminated) stats_.upstream_cx_destroy_with_active_rq.Add();
      co_return response;
    }
  }
}

Task<absl::StatusOr<StreamPtr>> Cluster::Connect(Exchange& exchange, SendOptions options) const {
  auto endpoint = co_await Pick(options, exchange);
  if (!endpoint.ok()) co_return endpoint.status();
  exchange.upstream.host_name = (*endpoint)->hostname();
  exchange.upstream.remote = (*endpoint)->address();
  auto acquired =
      co_await PoolFor(**endpoint, exchange.worker()).Acquire(exchange, options.priority, true);
  if (!acquired.ok()) co_return acquired.status();
  exchange.upstream.remote = acquired->lease->stream().remote_address();
  exchange.upstream.local = acquired->lease->stream().local_address();
  co_return ClientSession::IntoTunnel(std::move(acquired->lease));
}

void Cluster::RefreshGauges() const {
  for (int i = 0; i < 2; ++i) {
    const CircuitBreaker& breaker = *breakers_[i];
    const ClusterStats::Breaker& gauges = breaker_gauges_[i];
    gauges.cx_open.Set(breaker.IsOpen(Resource::kConnections));
    gauges.rq_pending_open.Set(breaker.IsOpen(Resource::kPending));
    gauges.rq_open.Set(breaker.IsOpen(Resource::kRequests));
    gauges.rq_retry_open.Set(breaker.IsOpen(Resource::kRetries));
    if (!breaker.thresholds().track_remaining) continue;
    gauges.remaining_cx.Set(breaker.Remaining(Resource::kConnections));
    gauges.remaining_pending.Set(breaker.Remaining(Resource::kPending));
    gauges.remaining_rq.Set(breaker.Remaining(Resource::kRequests));
    gauges.remaining_retries.Set(breaker.Remaining(Resource::kRetries));
  }
  const std::vector<HostView> hosts = Hosts();
  stats_.membership_total.Set(static_cast<int64_t>(hosts.size()));
  stats_.membership_healthy.Set(std::count_if(
      hosts.begin(), hosts.end(), [](const HostView& host) { return host.settings.healthy; }));
}

}  // namespace sluice
