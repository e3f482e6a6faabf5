// The route's timeout over a response body. Worker thread only.
#include "source/router/routed_body.h"

#include "source/router/router.h"

namespace sluice {

void RequestTimer::Start(Duration timeout, bool request_complete, bool of_attempt) {
  timeout_ = timeout;
  request_complete_ = request_complete;
  of_attempt_ = of_attempt;
  if (timeout > Duration::zero()) Arm(timeout);
}

void RequestTimer::OnTimer() {
  if (!request_complete_ || of_attempt_) {
    // Looking for the end of the request only here saves every chunk of it the trouble of telling.
    const TimePoint begin = Begin();
    const Duration left = begin != TimePoint{} ? begin + timeout_ - Now() : timeout_;
    if (left > Duration::zero()) return Arm(left);
  }
  RunOut();
}

TimePoint RequestTimer::Begin() const {
  const TimePoint received = exchange_.time.request_received;
  if (!request_complete_ && received == TimePoint{}) return received;
  if (!of_attempt_) return received;
  const TimePoint sent = exchange_.time.upstream_first_sent;
  return sent == TimePoint{} ? sent : std::max(received, sent);
}

void QuietTimer::Start(Duration timeout) {
  timeout_ = timeout;
  moved_ = Moved();
  if (timeout > Duration::zero()) Arm(timeout / 4);
}

uint64_t QuietTimer::Moved() const {
  return exchange_.bytes.upstream_wire_sent + exchange_.bytes.upstream_wire_received;
}

void QuietTimer::OnTimer() {
  // Looking at the meters now and then costs the bytes nothing.
  const uint64_t moved = Moved();
  const bool waits = exchange_.time.upstream_first_sent == TimePoint{};  // for its connection
  quiet_quarters_ = moved == moved_ && !waits ? quiet_quarters_ + 1 : 0;
  moved_ = moved;
  if (quiet_quarters_ >= 4) return RunOut();
  Arm(timeout_ / 4);
}

Reason AttemptLimits::ran_out() const {
  if (life.fired()) return Reason::kUpstreamMaxStreamDuration;
  if (head.fired()) return Reason::kPerTryTimeout;
  return quiet.fired() ? Reason::kPerTryIdleTimeout : Reason::kUnknown;
}

Reason RoutedBody::ran_out() const {
  if (timer_.fired()) return Reason::kUpstreamTimeout;
  return limits_ == nullptr ? Reason::kUnknown : limits_->ran_out();
}

namespace {

// Calls `use` with each kind of answers that this one is of, beside all of its cluster's.
template <class Use>
void ForEachKind(const Cluster& cluster, const RequestCounters& counters, const Exchange& exchange,
                 Use use) {
  const ClusterStats& stats = cluster.stats();
  const UpstreamFacts& upstream = exchange.upstream;
  const RequestHead* head = exchange.request_head();
  const bool internal = head != nullptr && head->headers.Get(HeaderId::kXEnvoyInternal) == "true";
  use(internal ? stats.internal : stats.external);
  if (upstream.zone_answers != nullptr) use(*upstream.zone_answers);
  if (upstream.canary) use(stats.kinds.Canary());
  const auto* const alternative = counters.alternative;
  if (alternative == nullptr) return;
  use(alternative->all);
  use(internal ? alternative->internal : alternative->external);
  if (upstream.zone_answers == nullptr && !upstream.canary) return;
  const std::string prefix = alternative->all.name + ".";
  if (upstream.zone_answers != nullptr) use(stats.kinds.Get(prefix + upstream.zone_answers->name));
  if (upstream.canary) use(stats.kinds.Get(prefix + "canary"));
}

// Writes the line of a tunnel when its exchange ends.
class KeptLog final : public FilterStateObject {
 public:
  explicit KeptLog(std::unique_ptr<AttemptLog> log) : log_(std::move(log)) {}
  std::string ToString() const override { return {}; }

 private:
  const std::unique_ptr<AttemptLog> log_;
};

// Ends a tunnel at the end of the life that its cluster gives to a request.
class TunnelLife final : public FilterStateObject, private Timer {
 public:
  TunnelLife(Exchange& exchange, Counter reached, Duration left)
      : exchange_(exchange), reached_(reached) {
    exchange.worker().wheel().Arm(*this, std::max<Duration>(left, std::chrono::milliseconds(1)));
  }
  std::string ToString() const override { return {}; }

 private:
  void OnTimer() override {
    reached_.Add();
    exchange_.canceller().Cancel(Reason::kUpstreamMaxStreamDuration);
  }

  Exchange& exchange_;
  const Counter reached_;
};

}  // namespace

void RoutedBody::KeepForTunnel() {
  if (log_ != nullptr)
    exchange_.set_filter_state("sluice.upstream_log", std::make_shared<KeptLog>(std::move(log_)));
  const TimePoint end = limits_ == nullptr ? TimePoint{} : limits_->life.end();
  if (end == TimePoint{}) return;
  exchange_.set_filter_state(
      "sluice.tunnel_life",
      std::make_shared<TunnelLife>(exchange_, cluster_.stats().upstream_rq_max_duration_reached,
                                   end - Now()));
}

RoutedBody::~RoutedBody() {
  if (body_ != nullptr) RecordTime(exchange_, cluster_, counters_, start_);
}

Task<absl::StatusOr<Chunk>> RoutedBody::Read() {
  if (ran_out() != Reason::kUnknown) return TooLate();
  // What is there already needs no watching, and so no frame of ours.
  return body_->Ready() ? body_->Read() : ReadInTime();
}

Task<absl::StatusOr<Chunk>> RoutedBody::TooLate() {
  CountTimeout(cluster_.stats(), ran_out());
  stats_.rq_reset_after_downstream_response_started.Add();
  co_return MakeError(ran_out());
}

Task<absl::StatusOr<Chunk>> RoutedBody::ReadInTime() {
  SetInterrupts(true);
  auto chunk = co_await body_->Read();
  SetInterrupts(false);
  if (ran_out() != Reason::kUnknown) {
    exchange_.canceller().Recover();
    if (!exchange_.canceller().cancelled()) co_return co_await TooLate();
  }
  if (!chunk.ok()) stats_.rq_reset_after_downstream_response_started.Add();
  if (!chunk.ok() && ReasonOf(chunk.status()) == Reason::kUpstreamProtocol)
    cluster_.stats().upstream_cx_protocol_error.Add();
  co_return chunk;
}

void RecordTime(const Exchange& exchange, const Cluster& cluster, const RequestCounters& counters,
                TimePoint start) {
  const TimePoint end = exchange.time.upstream_last_received;
  if (end < start || exchange.health_check) return;
  const TimePoint begin = std::max(start, exchange.time.request_received);
  const auto taken = static_cast<uint64_t>(std::max<int64_t>(Milliseconds(end - begin), 0));
  cluster.stats().upstream_rq_time.Record(taken);
  ForEachKind(cluster, counters, exchange,
              [&](const AnswerStats& kind) { kind.upstream_rq_time.Record(taken); });
  counters.RecordTime(taken);
}

void CountAnswer(const Cluster& cluster, int status, const RequestCounters& counters,
                 const Exchange& exchange) {
  if (exchange.health_check) return;
  cluster.stats().codes.Count(status);
  ForEachKind(cluster, counters, exchange,
              [&](const AnswerStats& kind) { kind.codes.Count(status); });
  counters.CountAnswer(status);
}

void CountInterims(const Cluster& cluster, const RequestCounters& counters, Exchange& exchange) {
  for (const int interim : exchange.TakeInterims())
    CountAnswer(cluster, interim, counters, exchange);
}

void CountTimeout(const ClusterStats& stats, Reason reason) {
  if (reason == Reason::kUpstreamTimeout) stats.upstream_rq_timeout.Add();
  if (reason == Reason::kPerTryTimeout) stats.upstream_rq_per_try_timeout.Add();
  if (reason == Reason::kPerTryIdleTimeout) stats.upstream_rq_per_try_idle_timeout.Add();
  if (reason == Reason::kUpstreamMaxStreamDuration) stats.upstream_rq_max_duration_reached.Add();
}

}  // namespace sluice
