// Sending a request to a cluster: breaker, endpoint, connection, exchange. See cluster.h for the
// threads.
#include "source/upstream/cluster.h"

#include <algorithm>
#include <limits>

#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::cluster::v3;

config::Fraction DroppedOf(
    const envoy::config::endpoint::v3::ClusterLoadAssignment::Policy& policy) {
  if (policy.drop_overloads().empty()) return {};
  return config::Fraction::Of(policy.drop_overloads(0).drop_percentage());
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
  const Endpoint& endpoint() const { return *endpoint_; }

 private:
  void Count(int64_t n) {
    stats_->upstream_rq_active.Add(n);
    endpoint_->stats().rq_active.Add(n);
    endpoint_->AddActive(worker_, n);
    if (HostUse* use = endpoint_->stats().use.get()) use->Add(HostResource::kRequests, worker_, n);
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

void NoteChosen(const EndpointPtr& endpoint, Exchange& exchange) {
  const Endpoint::Settings& settings = endpoint->settings();
  exchange.upstream.Choose({endpoint, &settings}, endpoint->address());
  exchange.upstream.zone_answers = settings.zone_answers;
  exchange.upstream.canary = settings.canary;
}

// A gauge that was never anything but 0 stays unused.
void SetTo(Gauge gauge, int64_t value) {
  if (Read(gauge) != value) gauge.Set(value);
}

}  // namespace

Cluster::Cluster(ClusterSettings settings, const v3::Cluster& config, const stats::Scope& scope,
                 const Dialer& dialer, size_t workers)
    : settings_(std::move(settings)),
      config_(config),
      stats_(scope),
      dialer_(dialer),
      workers_(workers),
      breakers_{std::make_unique<CircuitBreaker>(
                    settings_.thresholds[static_cast<size_t>(Priority::kDefault)], workers,
                    settings_.runtime, Cat("circuit_breakers.", settings_.name, ".default.")),
                std::make_unique<CircuitBreaker>(
                    settings_.thresholds[static_cast<size_t>(Priority::kHigh)], workers,
                    settings_.runtime, Cat("circuit_breakers.", settings_.name, ".high."))},
      maintenance_(settings_.runtime, Cat("upstream.maintenance_mode.", settings_.name), 0),
      drop_(DroppedOf(config.load_assignment().policy())),
      drop_limit_(settings_.runtime, "load_balancing_policy.drop_overload_limit", 100),
      breaker_gauges_{
          {scope.Sub("circuit_breakers").Sub("default"), breakers_[0]->tracks_remaining()},
          {scope.Sub("circuit_breakers").Sub("high"), breakers_[1]->tracks_remaining()}} {
  if (!config.has_outlier_detection() || settings_.main == nullptr) return;
  outlier_ = std::make_shared<OutlierDetector>(
      OutlierSettings(config.outlier_detection(), settings_.runtime),
      scope.Sub("outlier_detection"), *settings_.main,
      [this] {
        std::vector<std::shared_ptr<const HostStats>> hosts;
        for (HostView& host : Hosts()) hosts.push_back(std::move(host.stats));
        return hosts;
      },
      [this](const HostStats& host) { OnHealthChanged(host); });
}

Cluster::~Cluster() {
  if (outlier_ != nullptr) outlier_->Stop();
  if (checker_ != nullptr) checker_->Stop();
}

void Cluster::StartHealth() {
  if (outlier_ != nullptr) outlier_->Start();
  if (checker_ != nullptr) checker_->Start();
}

void Cluster::CheckHealth(std::shared_ptr<const HealthCheckSettings> settings) {
  const auto probe = [this, settings](const HealthTarget& target) {
    return (settings->http.has_value() ? HttpProbe : TcpProbe)(settings, target, dialer_,
                                                               settings_.dial);
  };
  const auto on_result = [this](const HostStats& host, bool passed, bool changed) {
    if (changed) OnHealthChanged(host);
    if (passed && outlier_ != nullptr && !host.health.Has(HostHealth::kFailedActiveHc))
      outlier_->OnHealthCheckPassed(host);
  };
  checker_ = std::make_shared<HealthChecker>(settings, stats_.scope, stats_.upstream_cx_total,
                                             *settings_.main, probe, on_result);
}

std::shared_ptr<HostStats> Cluster::StatsFor(const std::string& key) {
  std::weak_ptr<HostStats>& known = hosts_[key];
  std::shared_ptr<HostStats> stats = known.lock();
  if (stats == nullptr) known = stats = std::make_shared<HostStats>();
  if (hosts_.size() > 4096)
    absl::erase_if(hosts_, [](const auto& entry) { return entry.second.expired(); });
  return stats;
}

const AnswerStats* Cluster::AnswersOf(const std::string& zone) const {
  if (zone.empty() || settings_.zone.empty()) return nullptr;
  return &stats_.kinds.Get(Cat("zone.", settings_.zone, ".", zone));
}

TurnedAway Cluster::Drops(Rng& rng) const {
  const double share =
      std::min(static_cast<double>(drop_.numerator) / drop_.denominator, drop_limit_.Get() / 100.0);
  if (share >= 1) return TurnedAway::kAllDropped;
  constexpr uint32_t kFine = 1'000'000;
  return rng.Below(kFine) < share * kFine ? TurnedAway::kDropped : TurnedAway::kNot;
}

ConnPool& Cluster::PoolFor(const Endpoint& endpoint, Worker& worker) const {
  std::shared_ptr<ConnPool>& pool = endpoint.pool(worker.index());
  if (pool == nullptr) {
    pool =
        std::make_shared<ConnPool>(*this, endpoint.shared_stats(),
                                   InOrder(endpoint.addresses(), settings_.address_order), worker);
  }
  return *pool;
}

// As Envoy does: before each request, as long as there are fewer connections in the cluster than
// the ratio wants for one request more, to those hosts that come next.
void Cluster::Anticipate(Worker& worker, Priority priority) const {
  constexpr int kMostAtOnce = 3;
  const double ratio = settings_.predictive_preconnect_ratio;
  for (int i = 0; i < kMostAtOnce; ++i) {
    const PoolLoad load = LoadOn(worker.index());
    if (static_cast<double>(load.requests + 1) * ratio <= static_cast<double>(load.connections))
      return;
    const EndpointPtr next = PeekNext(worker);
    if (next == nullptr || !PoolFor(*next, worker).Anticipate(priority, ratio)) return;
  }
}

Task<absl::StatusOr<Response>> Cluster::Send(Request& request, Exchange& exchange,
                                             const SendOptions& options) const {
  BreakerUnit unit =
      BreakerUnit::Try(breaker(options.priority), Resource::kRequests, exchange.worker().index());
  if (!unit) {
    stats_.upstream_rq_active_overflow.Add();
    exchange.upstream.pool_wait = Duration::zero();
    return MakeError(Reason::kOverflow);
  }
  auto picking =
      options.attempted == nullptr ? Pick(options, exchange) : PickAgain(options, exchange);
  if (!picking.await_ready())
    return SendAfter(std::move(picking), std::move(unit), request, exchange, options);
  return SendTo(picking.await_resume(), std::move(unit), request, exchange, options);
}

// Not what the policy rejects for this attempt, if there is anything else.
Task<absl::StatusOr<EndpointPtr>> Cluster::PickAgain(const SendOptions& options,
                                                     Exchange& exchange) const {
  AttemptedHosts& attempted = *options.attempted;
  auto picked = co_await Pick(options, exchange);
  if (!picked.ok()) co_return picked;
  for (uint32_t i = 0; i < attempted.avoid.selections && attempted.Rejects(**picked); ++i) {
    auto other = co_await Pick(options, exchange);
    if (!other.ok()) break;
    picked = std::move(other);
  }
  attempted.hosts.push_back(*picked);
  co_return picked;
}

Task<absl::StatusOr<Response>> Cluster::SendAfter(Task<absl::StatusOr<EndpointPtr>> picking,
                                                  BreakerUnit unit, Request& request,
                                                  Exchange& exchange,
                                                  const SendOptions& options) const {
  auto picked = co_await std::move(picking);
  co_return co_await SendTo(std::move(picked), std::move(unit), request, exchange, options);
}

Task<absl::StatusOr<Response>> Cluster::SendTo(absl::StatusOr<EndpointPtr> picked, BreakerUnit unit,
                                               Request& request, Exchange& exchange,
                                               const SendOptions& options) const {
  if (absl::Status refusal = WhyNone(picked); !refusal.ok()) return refusal;
  const Endpoint& endpoint = **picked;
  NoteChosen(*picked, exchange);
  exchange.upstream.transport_failure.clear();  // That of the attempt before.
  HostUse* const use = endpoint.stats().use.get();
  if (use != nullptr && !use->Admits(HostResource::kRequests)) {
    use->Count(HostCount::kRqOverflow, exchange.worker().index());
    return MakeError(Reason::kOverflow);
  }
  if (settings_.predictive_preconnect_ratio > 1) Anticipate(exchange.worker(), options.priority);
  if (options.auto_host_rewrite) RewriteHost(*request.head, endpoint, options);
  CountFlowOf(exchange);
  return Try(*std::move(picked), std::move(unit), request, exchange, options.priority);
}

absl::Status Cluster::WhyNone(const absl::StatusOr<EndpointPtr>& picked) const {
  // The endpoint of a dynamic host has no other beside it: nobody has looked at its health yet.
  const bool failed =
      picked.ok() && is_dynamic() && (*picked)->stats().health.health() == Health::kUnhealthy;
  if (picked.ok() && !failed) return absl::OkStatus();
  absl::Status status = failed ? MakeError(Reason::kNoHealthyUpstream) : picked.status();
  if (ReasonOf(status) == Reason::kNoHealthyUpstream) stats_.upstream_cx_none_healthy.Add();
  return status;
}

void Cluster::Judge(const Endpoint& endpoint, const absl::StatusOr<Response>& response,
                    Exchange& exchange, TimePoint start) const {
  const HostStats& host = endpoint.stats();
  const int worker = exchange.worker().index();
  if (response.ok()) {
    Measure(endpoint, response->head->status >= 500, exchange, start);
    (response->head->status < 500 ? host.rq_success : host.rq_error).Add();
    if (host.use != nullptr && response->head->status >= 500)
      host.use->Count(HostCount::kRq5xx, worker);
    if (outlier_ != nullptr) outlier_->OnAnswer(endpoint.shared_stats(), response->head->status);
    if (checker_ != nullptr &&
        response->head->headers.Get("x-envoy-immediate-health-check-fail").has_value()) {
      settings_.main->Post([checker = checker_, host = endpoint.shared_stats()] {
        checker->OnImmediateFailure(*host);
      });
    }
    return;
  }
  bool timed_out = false;
  switch (ReasonOf(response.status())) {
    case Reason::kCancelled:
      // Cancelled for good: the client is gone, which says nothing about the host. Otherwise one of
      // the router's deadlines has struck.
      if (exchange.canceller().cancelled()) return;
      timed_out = true;
      host.rq_timeout.Add();
      break;
    case Reason::kConnectRefused:
    case Reason::kBindFailed:
    case Reason::kConnectTimeout:
    case Reason::kConnectionTerminated:
    case Reason::kUpstreamProtocol:
      break;
    default:
      return;
  }
  Measure(endpoint, true, exchange, start);
  host.rq_error.Add();
  host.rq_local_error.Add();
  if (host.use != nullptr) host.use->Count(HostCount::kRqError, worker);
  if (outlier_ != nullptr) outlier_->OnLocalFailure(endpoint.shared_stats(), timed_out ? 504 : 503);
}

void Cluster::Measure(const Endpoint& endpoint, bool failed, Exchange& exchange,
                      TimePoint start) const {
  if (measuring_ == nullptr) return;
  const TimePoint now = Now();
  measuring_->OnOutcome(endpoint.response_time(exchange.worker().index()), now - start, failed,
                        now);
}

// One request on one connection, or on a second one where the first had gone stale in the pool.
Task<absl::StatusOr<Response>> Cluster::Try(EndpointPtr endpoint, BreakerUnit unit,
                                            Request& request, Exchange& exchange,
                                            Priority priority) const {
  const TimePoint start = measuring_ == nullptr ? TimePoint() : Now();
  const std::shared_ptr<ConnPool> pool = PoolFor(*endpoint, exchange.worker()).shared_from_this();
  // A kept connection is asked first whether it still lives and is silent: bytes that came since
  // would be taken for the answer to this request. What may be repeated is sent again if the peer
  // closes just after that.
  const bool repeatable = request.body == nullptr && IsIdempotent(request.head->method) &&
                          request.head->upgrade.empty();
  ActiveRequest active(stats_, std::move(endpoint), exchange.worker().index());
  absl::StatusOr<Response> response;
  for (auto wanted = ConnPool::Wanted::kAny;; wanted = ConnPool::Wanted::kNew) {
    auto acquired = co_await pool->Acquire(exchange, priority, wanted);
    while (acquired.ok() && acquired->reused && acquired->lease->IsStale()) {
      acquired->lease = SessionLease();  // Its place is free before another is asked for.
      acquired = co_await pool->Acquire(exchange, priority, wanted);
    }
    if (!acquired.ok()) {
      response = acquired.status();
      break;
    }
    NoteConnected(active.endpoint(), acquired->lease->stream(), exchange);
    const bool may_repeat = acquired->reused && repeatable;
    // The session may be gone when RoundTrip returns an error; its word on the failure must be
    // kept.
    const std::shared_ptr<ClientSession> session = acquired->lease.shared();
    response = co_await ClientSession::RoundTrip(std::move(acquired->lease), request, exchange);
    if (response.ok()) break;
    const Reason reason = ReasonOf(response.status());
    if (reason == Reason::kConnectionTerminated && may_repeat && session->untouched()) continue;
    CountFailure(reason);
    break;
  }
  Judge(active.endpoint(), response, exchange, start);
  if (response.ok() && response->body != nullptr) {
    response->body = std::make_unique<CountedBody>(std::move(response->body), std::move(active),
                                                   std::move(unit));
  }
  co_return response;
}

// A request has its connection.
void Cluster::NoteConnected(const Endpoint& endpoint, const Stream& stream,
                            Exchange& exchange) const {
  stats_.upstream_rq_total.Add();
  endpoint.stats().rq_total.Add();
  if (HostUse* use = endpoint.stats().use.get())
    use->Count(HostCount::kRqTotal, exchange.worker().index());
  if (outlier_ != nullptr) outlier_->OnConnected(endpoint.stats());
  exchange.upstream.remote = stream.remote_address();
  exchange.upstream.local = stream.local_address();
}

// Why a request that was sent has no response.
void Cluster::CountFailure(Reason reason) const {
  if (reason == Reason::kUpstreamProtocol) stats_.upstream_cx_protocol_error.Add();
}

void Cluster::CountFlowOf(Exchange& exchange) const {
  exchange.flow.upstream_paused = stats_.upstream_flow_control_paused_reading_total;
  exchange.flow.upstream_resumed = stats_.upstream_flow_control_resumed_reading_total;
  exchange.flow.backed_up = stats_.upstream_flow_control_backed_up_total;
  exchange.flow.drained = stats_.upstream_flow_control_drained_total;
}

Task<absl::StatusOr<StreamPtr>> Cluster::Connect(Exchange& exchange,
                                                 const SendOptions& options) const {
  CountFlowOf(exchange);
  auto picked = co_await Pick(options, exchange);
  if (absl::Status refusal = WhyNone(picked); !refusal.ok()) co_return refusal;
  if (settings_.predictive_preconnect_ratio > 1) Anticipate(exchange.worker(), options.priority);
  const EndpointPtr endpoint = *std::move(picked);
  NoteChosen(endpoint, exchange);
  const std::shared_ptr<ConnPool> pool = PoolFor(*endpoint, exchange.worker()).shared_from_this();
  auto acquired = co_await pool->Acquire(exchange, options.priority, ConnPool::Wanted::kUnused);
  if (outlier_ != nullptr && acquired.ok()) {
    outlier_->OnConnected(endpoint->stats());
    outlier_->OnAnswer(endpoint->shared_stats(), 200);
  } else if (outlier_ != nullptr && ReasonOf(acquired.status()) != Reason::kOverflow &&
             !exchange.canceller().cancelled()) {
    outlier_->OnLocalFailure(endpoint->shared_stats(), 503);
  }
  if (!acquired.ok()) co_return acquired.status();
  if (config_.close_connections_on_host_health_failure()) pool->AddTunnel(acquired->lease.shared());
  stats_.upstream_rq_total.Add();
  endpoint->stats().rq_total.Add();
  exchange.upstream.remote = acquired->lease->stream().remote_address();
  exchange.upstream.local = acquired->lease->stream().local_address();
  co_return ClientSession::IntoTunnel(std::move(acquired->lease));
}

void Cluster::RefreshGauges() const {
  for (int i = 0; i < 2; ++i) {
    const CircuitBreaker& breaker = *breakers_[i];
    const ClusterStats::Breaker& gauges = breaker_gauges_[i];
    // Where connections were made "closed" is an answer, for those who ask for what is used only.
    const bool used = i == 0 && Read(stats_.upstream_cx_total) > 0;
    const auto set = [used](Gauge gauge, bool open) {
      used ? gauge.Set(open ? 1 : 0) : SetTo(gauge, open ? 1 : 0);
    };
    set(gauges.cx_open, breaker.IsOpen(Resource::kConnections));
    set(gauges.rq_pending_open, breaker.IsOpen(Resource::kPending));
    set(gauges.rq_open, breaker.IsOpen(Resource::kRequests));
    set(gauges.rq_retry_open, breaker.IsOpen(Resource::kRetries));
    if (!breaker.tracks_remaining()) continue;
    // Pools are not limited.
    gauges.remaining_cx_pools.Set(stats::kNoLimit);
    gauges.remaining_cx.Set(breaker.Remaining(Resource::kConnections));
    gauges.remaining_pending.Set(breaker.Remaining(Resource::kPending));
    gauges.remaining_rq.Set(breaker.Remaining(Resource::kRequests));
    gauges.remaining_retries.Set(breaker.Remaining(Resource::kRetries));
  }
  if (checker_ != nullptr) checker_->RefreshGauges();
  SetTo(stats_.warming_state, ready() ? 0 : 1);
  const std::vector<HostView> hosts = Hosts();
  int64_t healthy = 0, degraded = 0, excluded = 0, weight = 0;
  for (const HostView& host : hosts) {
    const HostHealth& health = host.stats->health;
    healthy += health.health() == Health::kHealthy ? 1 : 0;
    degraded += health.health() == Health::kDegraded ? 1 : 0;
    excluded += health.excluded() ? 1 : 0;
    weight = std::max<int64_t>(weight, host.settings.weight);
  }
  stats_.membership_total.Set(static_cast<int64_t>(hosts.size()));
  stats_.membership_healthy.Set(healthy);
  stats_.membership_degraded.Set(degraded);
  stats_.membership_excluded.Set(excluded);
  stats_.max_host_weight.Set(weight);
}

}  // namespace sluice
