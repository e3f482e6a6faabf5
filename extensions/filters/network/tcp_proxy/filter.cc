// The TCP proxy: a connection is an exchange without heads. Worker threads; what is built from the
// configuration, main thread (config.cc).
#include "extensions/filters/network/tcp_proxy/filter.h"

#include "extensions/filters/network/tcp_proxy/client_watch.h"
#include "source/base/reason.h"
#include "source/http/h1/tunnel.h"
#include "source/http/request_id.h"
#include "source/http/time_limits.h"
#include "source/upstream/cluster_manager.h"

namespace sluice {
namespace {

// A proxy that is asked for a tunnel connects before it answers.
constexpr Duration kLeastPatience = std::chrono::seconds(15);

class TcpExchange final : public Exchange {
 public:
  explicit TcpExchange(Connection& connection)
      : Exchange(connection.worker, connection.scope, connection.canceller, connection.facts) {
    time.start = Now();
    time.wall_start = WallNow();
  }

  Task<absl::Status> SendInterim(ResponseHeadPtr) override {
    co_return absl::OkStatus();
  }  // TCP has none.
  void LimitIdle(Duration limit) override { limits_.LimitIdle(limit); }
  void LimitDuration(Duration limit) override { limits_.LimitDuration(limit); }
  void Touch() override { limits_.Touch(); }
  void Settle() { limits_.Disarm(); }
  void Identify() {
    Arena arena;
    set_stream_id(MakeRequestId(worker().rng(), arena));
  }

  /// From now on bytes go both ways; `framed`: on the upstream's wire in messages, which are
  /// counted there.
  void Begin(bool framed) {
    tunnel_established = true;
    framed_ = framed;
    asked_sent_ = bytes.upstream_wire_sent;
    asked_received_ = bytes.upstream_wire_received;
  }
  /// What has gone over the wires up to now: nothing but the bytes, behind what asked for a tunnel.
  void CountWires() {
    bytes.downstream_wire_received = bytes.body_received;
    bytes.downstream_wire_sent = bytes.body_sent;
    if (framed_ || !tunnel_established) return;
    bytes.upstream_wire_sent = asked_sent_ + bytes.body_received;
    bytes.upstream_wire_received = asked_received_ + bytes.body_sent;
  }

 private:
  TimeLimits limits_{*this};
  bool framed_ = false;
  uint64_t asked_sent_ = 0, asked_received_ = 0;
};

// Ends a connection some time after its listener has begun to drain: bytes have no natural end.
class DrainLimit final : private Timer, private Drainable {
 public:
  DrainLimit(Connection& connection, Duration limit) : connection_(connection), limit_(limit) {
    connection.drainable = this;
    if (connection.draining) Drain();
  }
  ~DrainLimit() override { connection_.drainable = nullptr; }
  bool passed() const { return passed_; }

 private:
  void Drain() override { connection_.worker.wheel().Arm(*this, limit_); }
  void OnTimer() override {
    passed_ = true;
    connection_.canceller.Cancel(Reason::kCancelled);
  }
  Connection& connection_;
  const Duration limit_;
  bool passed_ = false;
};

// Another address or a later moment may do better.
bool IsConnectFailure(Reason reason) {
  return reason == Reason::kConnectRefused || reason == Reason::kBindFailed ||
         reason == Reason::kConnectTimeout;
}

// A connection has no details, as in Envoy, unless nothing else would say what went wrong.
void NoteFailure(const absl::Status& error, Exchange& exchange) {
  if (exchange.upstream.transport_failure.empty()) return exchange.Note(error);
  const ReasonMeaning& meaning = MeaningOf(ReasonOf(error));
  if (meaning.flag.has_value()) exchange.Note(*meaning.flag);
}

// What Envoy writes as the reason of its own end, with its number of what was wrong.
std::string_view CloseReasonOf(Reason reason) {
  if (IsConnectFailure(reason)) return "tcp_initializion_failure:0";
  return reason == Reason::kOverflow ? "tcp_initializion_failure:2" : "tcp_initializion_failure:1";
}

absl::Status Overflow(const Cluster& cluster, Exchange& exchange) {
  cluster.stats().upstream_cx_overflow.Add();
  exchange.Note(ResponseFlag::kUpstreamOverflow);
  exchange.local_close_reason = CloseReasonOf(Reason::kOverflow);
  return MakeError(Reason::kOverflow);
}

// A client that breaks off has no flag, as in Envoy.
void NoteReset(const TunnelEnd& end, Exchange& exchange) {
  if (end.origin_broke) exchange.Note(ResponseFlag::kUpstreamRemoteReset);
  if (end.client_reset) {
    exchange.close = DetectedClose::kRemoteReset;
  } else if (end.origin_reset) {
    exchange.upstream.close = DetectedClose::kRemoteReset;
    exchange.close = DetectedClose::kLocalReset;
  }
}

// A limit of ours has ended the connection.
void NoteLimit(std::string_view reason, Exchange& exchange) {
  exchange.local_close_reason = reason;
  if (exchange.tunnel_established) exchange.upstream.local_close_reason = reason;
}

// FNV-1a of the client's address: the same in every process and on every worker.
uint64_t HashOf(const Address& address) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : address.IpString())
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

}  // namespace

// Logs now and then while it lives.
class TcpProxy::PeriodicLog final : private Timer {
 public:
  PeriodicLog(const TcpProxy& proxy, TcpExchange& exchange) : proxy_(proxy), exchange_(exchange) {
    Rearm();
  }

 private:
  void Rearm() {
    if (proxy_.settings_.log_interval > Duration::zero())
      exchange_.worker().wheel().Arm(*this, proxy_.settings_.log_interval);
  }
  void OnTimer() override {
    exchange_.CountWires();
    proxy_.Log(exchange_, "TcpPeriodic");
    Rearm();
  }
  const TcpProxy& proxy_;
  TcpExchange& exchange_;
};

TcpProxyStats::TcpProxyStats(const stats::Scope& scope)
    : downstream_cx_total(scope.counter("downstream_cx_total")),
      downstream_cx_no_route(scope.counter("downstream_cx_no_route")),
      downstream_cx_rx_bytes_total(scope.counter("downstream_cx_rx_bytes_total")),
      downstream_cx_tx_bytes_total(scope.counter("downstream_cx_tx_bytes_total")),
      downstream_flow_control_paused_reading_total(
          scope.counter("downstream_flow_control_paused_reading_total")),
      downstream_flow_control_resumed_reading_total(
          scope.counter("downstream_flow_control_resumed_reading_total")),
      idle_timeout(scope.counter("idle_timeout")),
      max_downstream_connection_duration(scope.counter("max_downstream_connection_duration")),
      upstream_flush_total(scope.counter("upstream_flush_total")),
      upstream_flush_active(scope.gauge("upstream_flush_active")) {}

TcpProxy::TcpProxy(TcpProxySettings settings, TcpProxyStats stats, const ClusterManager& clusters,
                   std::vector<AccessLoggerPtr> access_logs)
    : settings_(std::move(settings)),
      stats_(stats),
      clusters_(clusters),
      access_logs_(std::move(access_logs)) {
  for (const TcpProxyTarget& target : settings_.targets) total_weight_ += target.weight;
}

Task<> TcpProxy::Handle(Connection& connection, NetworkNext) const {
  stats_.downstream_cx_total.Add();
  TcpExchange exchange(connection);
  exchange.upstream.close = DetectedClose::kNormal;
  exchange.flow.client_paused = stats_.downstream_flow_control_paused_reading_total;
  exchange.flow.client_resumed = stats_.downstream_flow_control_resumed_reading_total;
  if (!access_logs_.empty() || connection.facts.record != nullptr) exchange.Identify();
  exchange.LimitDuration(MaxDuration(connection.worker.rng()));
  exchange.LimitIdle(settings_.idle_timeout);  // Connecting is silence, too.
  const PeriodicLog periodic(*this, exchange);
  const DrainLimit drain(connection, settings_.drain_time);
  if (settings_.log_start) Log(exchange, "TcpConnectionStart");
  ClientWatch watch(connection);
  absl::StatusOr<StreamPtr> upstream = co_await Connect(exchange);
  co_await watch.End();
  if (upstream.ok()) {
    exchange.Touch();
    exchange.Begin(settings_.tunneling.has_value() && settings_.tunneling->is_framed());
    if (settings_.log_connected) Log(exchange, "TcpUpstreamConnected");
    stats_.downstream_cx_rx_bytes_total.Add(watch.early().view().size());
    NoteReset(co_await RunTunnel(*connection.stream, watch.early(), **upstream, exchange,
                                 stats_.downstream_cx_rx_bytes_total,
                                 stats_.downstream_cx_tx_bytes_total),
              exchange);
    *upstream = nullptr;  // Counted as closed before the log line is written.
  } else if (connection.canceller.cancelled()) {
    const Reason reason = connection.canceller.reason();
    exchange.Note(MakeError(reason));
    if (reason == Reason::kDownstreamClosed) exchange.close = DetectedClose::kRemoteReset;
  }
  exchange.Settle();
  // What an attempt has left behind refers to the exchange.
  exchange.scope().Cancel();
  co_await exchange.scope().Join();
  connection.stream->Close();
  exchange.time.connection_closed = Now();
  if (drain.passed()) exchange.set_details("downstream_local_disconnect(drained)");
  const Canceller& canceller = connection.canceller;
  if (canceller.cancelled() && canceller.reason() == Reason::kStreamIdleTimeout) {
    stats_.idle_timeout.Add();
    NoteLimit("tcp_session_idle_timeout", exchange);
  }
  if (canceller.cancelled() && canceller.reason() == Reason::kMaxStreamDuration) {
    exchange.Note(ResponseFlag::kDurationTimeout);
    stats_.max_downstream_connection_duration.Add();
    NoteLimit("max_connection_duration_reached", exchange);
  }
  exchange.CountWires();
  if (connection.facts.record != nullptr) connection.facts.record->TakeOutcome(exchange);
  Log(exchange, "TcpConnectionEnd");
}

void TcpProxy::OnRefused(Connection& connection, const ConnectionRefusal& why) const {
  stats_.downstream_cx_total.Add();
  if (access_logs_.empty()) return;
  TcpExchange exchange(connection);
  exchange.time.start = connection.facts.opened;
  exchange.time.connection_closed = Now();
  exchange.time.wall_start = WallNow() - (exchange.time.connection_closed - exchange.time.start);
  exchange.Identify();
  why.NoteOn(exchange);
  Log(exchange, "TcpConnectionEnd");
}

void TcpProxy::Log(const Exchange& exchange, std::string_view type) const {
  for (const AccessLoggerPtr& logger : access_logs_) logger->Log(LogContext{exchange, type});
}

Duration TcpProxy::MaxDuration(Rng& rng) const {
  const Duration limit = settings_.max_connection_duration;
  if (limit <= Duration::zero() || settings_.duration_jitter <= 0) return limit;
  const auto most =
      static_cast<uint64_t>(static_cast<double>(limit.count()) * settings_.duration_jitter);
  return limit + Duration(static_cast<int64_t>(rng.Below(most + 1)));
}

const TcpProxyTarget& TcpProxy::PickTarget(Rng& rng) const {
  if (settings_.targets.size() == 1) return settings_.targets.front();
  uint64_t ticket = rng.Below(total_weight_);
  size_t i = 0;
  while (ticket >= settings_.targets[i].weight) ticket -= settings_.targets[i++].weight;
  return settings_.targets[i];
}

// A connection to the cluster; a failure other than a cancellation is noted on the exchange.
Task<absl::StatusOr<StreamPtr>> TcpProxy::Connect(Exchange& exchange) const {
  const TcpProxyTarget& target = PickTarget(exchange.worker().rng());
  const Cluster* cluster = clusters_.Find(target.cluster, exchange.worker());
  exchange.upstream.cluster_name = target.cluster;
  if (cluster != nullptr) exchange.upstream.cluster = &cluster->config();
  if (cluster == nullptr) {
    stats_.downstream_cx_no_route.Add();
    exchange.Note(ResponseFlag::kNoClusterFound);
    exchange.set_details("cluster_not_found");
    exchange.local_close_reason = "tcp_initializion_failure:3";
    co_return MakeError(Reason::kNoHealthyUpstream);
  }
  Backoff back_off;
  while (true) {
    // A pool lets each host have a connection whatever the limit; here, as in Envoy, nobody does.
    if (cluster->breaker(Priority::kDefault).IsOpen(Resource::kConnections))
      co_return Overflow(*cluster, exchange);
    ++exchange.upstream.attempts;
    auto stream = co_await Attempt(*cluster, target, exchange);
    if (stream.ok()) co_return stream;
    const bool failed_to_connect = IsConnectFailure(ReasonOf(stream.status()));
    if (failed_to_connect && exchange.upstream.attempts < settings_.max_connect_attempts) {
      if (settings_.back_off.base <= Duration::zero()) continue;
      if (co_await Sleep(back_off.Next(settings_.back_off, exchange.worker().rng()))) continue;
      co_return MakeError(Reason::kCancelled);
    }
    if (ReasonOf(stream.status()) == Reason::kCancelled) co_return stream;
    NoteFailure(stream.status(), exchange);
    exchange.local_close_reason = CloseReasonOf(ReasonOf(stream.status()));
    if (failed_to_connect) {
      target.attempts_exceeded.Add();
      exchange.Note(ResponseFlag::kUpstreamRetryLimitExceeded);
    }
    co_return stream;
  }
}

Task<absl::StatusOr<StreamPtr>> TcpProxy::Attempt(const Cluster& cluster,
                                                  const TcpProxyTarget& target,
                                                  Exchange& exchange) const {
  SendOptions options;
  options.criteria = target.criteria.get();
  if (settings_.hash_source_ip) options.hash = HashOf(exchange.remote_address());
  auto stream = co_await cluster.Connect(exchange, options);
  if (!stream.ok() || !settings_.tunneling.has_value()) co_return stream;
  Deadline deadline(exchange.worker().wheel(), exchange.canceller(),
                    std::max(kLeastPatience, cluster.settings().connect_timeout));
  auto tunnel =
      co_await settings_.tunneling->Ask(*std::move(stream), exchange, cluster.session_limits());
  if (deadline.Expired() && !tunnel.ok()) co_return MakeError(Reason::kConnectTimeout);
  co_return tunnel;
}

}  // namespace sluice
