// Timeouts of a forwarded request, and the body of its answer under them. Belong to one worker.
#pragma once

#include <memory>

#include "source/base/free_lists.h"
#include "source/base/reason.h"
#include "source/http/exchange.h"
#include "source/router/request_stats.h"
#include "source/router/upstream_log.h"
#include "source/upstream/cluster.h"

namespace sluice {

struct RouterStats;

/// A limit that interrupts what the exchange awaits when it has run out.
class LimitTimer : public Timer {
 public:
  explicit LimitTimer(Exchange& exchange) : exchange_(exchange) {}

  bool fired() const { return fired_; }
  /// Whether running out interrupts; else it is only remembered. At first it does.
  void set_interrupts(bool interrupts) { interrupts_ = interrupts; }

 protected:
  void Arm(Duration delay) { exchange_.worker().wheel().Arm(*this, delay); }
  void RunOut() {
    fired_ = true;
    if (interrupts_) exchange_.canceller().Interrupt();
  }
  void OnTimer() override { RunOut(); }

  Exchange& exchange_;

 private:
  bool fired_ = false;
  bool interrupts_ = true;
};

/// Runs out `timeout` after the last byte of the request has come from the client and, where it
/// limits an attempt, that has found its connection.
class RequestTimer final : public LimitTimer {
 public:
  using LimitTimer::LimitTimer;

  /// Zero: never. `request_complete`: there is no body to wait for.
  void Start(Duration timeout, bool request_complete, bool of_attempt = false);

 private:
  void OnTimer() override;
  /// When the time began to run; TimePoint{}: not yet.
  TimePoint Begin() const;

  Duration timeout_{};
  bool request_complete_ = false;
  bool of_attempt_ = false;
};

/// Runs out when an attempt has its connection and no byte has gone to or come from the upstream
/// for `timeout`, or up to a quarter longer.
class QuietTimer final : public LimitTimer {
 public:
  using LimitTimer::LimitTimer;
  /// Zero: never.
  void Start(Duration timeout);

 private:
  void OnTimer() override;
  uint64_t Moved() const;

  Duration timeout_{};
  int quiet_quarters_ = 0;
  uint64_t moved_ = 0;
};

/// Runs out a fixed time after its start.
class LifeTimer final : public LimitTimer {
 public:
  using LimitTimer::LimitTimer;
  /// Zero: never.
  void Start(Duration timeout) {
    if (timeout <= Duration::zero()) return;
    end_ = Now() + timeout;
    Arm(timeout);
  }
  /// TimePoint{}: never.
  TimePoint end() const { return end_; }

 private:
  TimePoint end_{};
};

/// The limits of one attempt.
class AttemptLimits {
 public:
  explicit AttemptLimits(Exchange& exchange) : head(exchange), quiet(exchange), life(exchange) {}

  void set_interrupts(bool interrupts) {
    quiet.set_interrupts(interrupts);
    life.set_interrupts(interrupts);
  }
  /// Which one has run out; kUnknown: none.
  Reason ran_out() const;

  RequestTimer head;  // per_try_timeout: until the head of the response
  QuietTimer quiet;   // per_try_idle_timeout
  LifeTimer life;     // max_stream_duration of the cluster
};

/// Made when a request is sent, filled when its answer comes. Its reads fail with kUpstreamTimeout
/// (or what the attempt's limits say) once a timer has run out; its end records how long the answer
/// took.
class RoutedBody final : public Body, public Pooled<RoutedBody> {
 public:
  RoutedBody(Exchange& exchange, const Cluster& cluster, const RouterStats& stats, TimePoint start)
      : timer_(exchange), exchange_(exchange), cluster_(cluster), stats_(stats), start_(start) {}
  ~RoutedBody() override;

  RequestTimer& timer() { return timer_; }
  /// New limits for the attempt that begins.
  AttemptLimits& NewLimits() {
    limits_ = std::make_unique<AttemptLimits>(exchange_);
    return *limits_;
  }
  /// The attempt is over.
  void DropLimits() { limits_ = nullptr; }
  void Carry(BodyPtr body, const RequestCounters& counters) {
    body_ = std::move(body);
    counters_ = counters;
    SetInterrupts(false);
    if (limits_ != nullptr) limits_->head.Disarm();
  }
  /// An attempt begins that is to be logged; `body` is that of the request.
  void BeginLog(const AttemptLog::Loggers& loggers, BodyPtr* body) {
    log_ = std::make_unique<AttemptLog>(loggers, exchange_);
    *body = log_->CountRequest(std::move(*body));
  }
  void LogOutcome(absl::StatusOr<Response>& outcome) {
    if (log_ != nullptr) log_->OnOutcome(outcome);
  }
  /// The attempt is over.
  void EndLog() { log_ = nullptr; }
  /// The attempt, a tunnel, lasts as long as the exchange: so does its log, and the limit of its
  /// life (LifeTimer) goes on.
  void KeepForTunnel();
  /// Which limit has run out; kUnknown: none.
  Reason ran_out() const;

  Task<absl::StatusOr<Chunk>> Read() override;
  bool Ready() const override { return ran_out() != Reason::kUnknown || body_->Ready(); }
  std::optional<uint64_t> Length() const override { return body_->Length(); }
  Headers* trailers() override { return body_->trailers(); }

 private:
  Task<absl::StatusOr<Chunk>> ReadInTime();
  Task<absl::StatusOr<Chunk>> TooLate();
  void SetInterrupts(bool interrupts) {
    timer_.set_interrupts(interrupts);
    if (limits_ != nullptr) limits_->set_interrupts(interrupts);
  }

  RequestTimer timer_;
  std::unique_ptr<AttemptLimits> limits_;  // null: none but the timer
  Exchange& exchange_;
  const Cluster& cluster_;
  const RouterStats& stats_;
  const TimePoint start_;
  RequestCounters counters_;
  BodyPtr body_;
  std::unique_ptr<AttemptLog> log_;  // null: not logged
};

/// Records upstream_rq_time of an answer that was received whole. Like the next one it leaves out
/// health checks.
void RecordTime(const Exchange& exchange, const Cluster& cluster, const RequestCounters& counters,
                TimePoint start);

/// Counts what a cluster answered, or what was answered in its place.
void CountAnswer(const Cluster& cluster, int status, const RequestCounters& counters,
                 const Exchange& exchange);

/// The same for the interim responses of the exchange, which are not counted again.
void CountInterims(const Cluster& cluster, const RequestCounters& counters, Exchange& exchange);

/// Counts what ran out.
void CountTimeout(const ClusterStats& stats, Reason reason);

}  // namespace sluice
