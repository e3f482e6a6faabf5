// The route's timeout over a response body. Worker thread only.
#include "source/router/routed_body.h"

#include "source/base/reason.h"
#include "source/router/router.h"

namespace sluice {

void RequestTimer::Start(Duration timeout, bool request_complete) {
  timeout_ = timeout;
  request_complete_ = request_complete;
  if (timeout > Duration::zero()) exchange_.worker().wheel().Arm(*this, timeout);
}

void RequestTimer::OnTimer() {
  if (!request_complete_) {
    // Looking for the end of the request only here saves every chunk of it the trouble of telling.
    const TimePoint received = exchange_.time.request_received;
    request_complete_ = received != TimePoint{};
    const Duration left = request_complete_ ? received + timeout_ - Now() : timeout_;
    if (left > Duration::zero()) return exchange_.worker().wheel().Arm(*this, left);
  }
  fired_ = true;
  if (interrupts_) exchange_.canceller().Interrupt();
}

RoutedBody::~RoutedBody() {
  if (body_ != nullptr) RecordTime(exchange_, cluster_, start_);
}

Task<absl::StatusOr<Chunk>> RoutedBody::Read() {
  if (timer_.fired()) return TooLate();
  // What is there already needs no watching, and so no frame of ours.
  return body_->Ready() ? body_->Read() : ReadInTime();
}

Task<absl::StatusOr<Chunk>> RoutedBody::TooLate() {
  cluster_.stats().upstream_rq_timeout.Add();
  stats_.rq_reset_after_downstream_response_started.Add();
  co_return MakeError(Reason::kUpstreamTimeout);
}

Task<absl::StatusOr<Chunk>> RoutedBody::ReadInTime() {
  timer_.set_interrupts(true);
  auto chunk = co_await body_->Read();
  timer_.set_interrupts(false);
  if (timer_.fired()) {
    exchange_.canceller().Recover();
    if (!exchange_.canceller().cancelled()) co_return co_await TooLate();
  }
  if (!chunk.ok()) stats_.rq_reset_after_downstream_response_started.Add();
  co_return chunk;
}

void RecordTime(const Exchange& exchange, const Cluster& cluster, TimePoint start) {
  const TimePoint end = exchange.time.upstream_last_received;
  if (end < start) return;
  const TimePoint begin = std::max(start, exchange.time.request_received);
  cluster.stats().upstream_rq_time.Record(
      static_cast<uint64_t>(std::max<int64_t>(Milliseconds(end - begin), 0)));
}

}  // namespace sluice
