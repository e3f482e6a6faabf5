// Timeouts of a forwarded request, and the body of its answer under them. Belong to one worker.
#pragma once

#include "source/base/pooled.h"
#include "source/http/exchange.h"
#include "source/upstream/cluster.h"

namespace sluice {

struct RouterStats;

/// Runs out `timeout` after the last byte of the request has come from the client, and then
/// interrupts what the exchange awaits.
class RequestTimer final : public Timer {
 public:
  explicit RequestTimer(Exchange& exchange) : exchange_(exchange) {}

  /// Zero: never. `request_complete`: there is no body to wait for.
  void Start(Duration timeout, bool request_complete);

  bool fired() const { return fired_; }
  /// Whether running out interrupts; else it is only remembered. At first it does.
  void set_interrupts(bool interrupts) { interrupts_ = interrupts; }

 private:
  void OnTimer() override;

  Exchange& exchange_;
  Duration timeout_{};
  bool request_complete_ = false;
  bool fired_ = false;
  bool interrupts_ = true;
};

/// Made when a request is sent, filled when its answer comes. Its reads fail with kUpstreamTimeout
/// once the timer has run out; its end records how long the answer took.
class RoutedBody final : public Body, public Pooled<RoutedBody> {
 public:
  RoutedBody(Exchange& exchange, const Cluster& cluster, const RouterStats& stats, TimePoint start)
      : timer_(exchange), exchange_(exchange), cluster_(cluster), stats_(stats), start_(start) {}
  ~RoutedBody() override;

  RequestTimer& timer() { return timer_; }
  void Carry(BodyPtr body) {
    body_ = std::move(body);
    timer_.set_interrupts(false);
  }

  Task<absl::StatusOr<Chunk>> Read() override;
  bool Ready() const override { return timer_.fired() || body_->Ready(); }
  std::optional<uint64_t> Length() const override { return body_->Length(); }
  Headers* trailers() override { return body_->trailers(); }

 private:
  Task<absl::StatusOr<Chunk>> ReadInTime();
  Task<absl::StatusOr<Chunk>> TooLate();

  RequestTimer timer_;
  Exchange& exchange_;
  const Cluster& cluster_;
  const RouterStats& stats_;
  const TimePoint start_;
  BodyPtr body_;
};

/// Records upstream_rq_time of an answer that was received whole.
void RecordTime(const Exchange& exchange, const Cluster& cluster, TimePoint start);

}  // namespace sluice
