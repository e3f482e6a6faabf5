// One line for each attempt. Worker threads.
#include "source/router/upstream_log.h"

#include "source/base/reason.h"
#include "source/observe/access_log/access_log.h"

namespace sluice {
namespace {

RequestHeadPtr Copied(const RequestHead& head) {
  auto copy = std::make_unique<RequestHead>();
  copy->method = copy->arena.Copy(head.method);
  copy->scheme = copy->arena.Copy(head.scheme);
  copy->authority = copy->arena.Copy(head.authority);
  copy->path = copy->arena.Copy(head.path);
  copy->upgrade = copy->arena.Copy(head.upgrade);
  copy->version = head.version;
  copy->wire_bytes = head.wire_bytes;
  for (const Header& header : head.headers) copy->headers.AddCopy(header.name, header.value);
  return copy;
}

ResponseHeadPtr Copied(const ResponseHead& head) {
  auto copy = std::make_unique<ResponseHead>(head.status);
  copy->version = head.version;
  copy->wire_bytes = head.wire_bytes;
  for (const Header& header : head.headers) copy->headers.AddCopy(header.name, header.value);
  return copy;
}

// Of an earlier attempt, or none.
void DropIfBefore(TimePoint start, TimePoint& time) {
  if (time < start) time = TimePoint{};
}

}  // namespace

class AttemptLog::MeteredBody final : public Body {
 public:
  MeteredBody(BodyPtr body, std::shared_ptr<Meter> meter)
      : body_(std::move(body)), meter_(std::move(meter)) {}

  Task<absl::StatusOr<Chunk>> Read() override {
    auto chunk = co_await body_->Read();
    if (chunk.ok()) {
      meter_->bytes += chunk->data.size();
    } else {
      meter_->error = chunk.status();
    }
    co_return chunk;
  }
  bool Ready() const override { return body_->Ready(); }
  std::optional<uint64_t> Length() const override { return body_->Length(); }
  Headers* trailers() override { return body_->trailers(); }

 private:
  const BodyPtr body_;
  const std::shared_ptr<Meter> meter_;
};

// The attempt, seen as an exchange by the formats of access logs.
class AttemptLog::View final : public Exchange {
 public:
  explicit View(Exchange& original)
      : Exchange(original.worker(), original.scope(), original.canceller(), original.connection()) {
  }
  Task<absl::Status> SendInterim(ResponseHeadPtr) override { co_return absl::OkStatus(); }
  void LimitIdle(Duration) override {}
  void LimitDuration(Duration) override {}
  void Touch() override {}
};

AttemptLog::AttemptLog(const Loggers& loggers, Exchange& exchange)
    : loggers_(loggers), exchange_(exchange), before_(exchange.bytes) {}

BodyPtr AttemptLog::Count(BodyPtr body, std::shared_ptr<Meter>& meter) {
  if (body == nullptr) return nullptr;
  meter = std::make_shared<Meter>();
  return std::make_unique<MeteredBody>(std::move(body), meter);
}

void AttemptLog::OnOutcome(absl::StatusOr<Response>& outcome) {
  // The heads change before the line is written: for the client, or for the next attempt.
  if (exchange_.request_head() != nullptr) request_ = Copied(*exchange_.request_head());
  answered_ = outcome.ok();
  if (!answered_) {
    failure_ = ReasonOf(outcome.status());
    return;
  }
  response_ = Copied(*outcome->head);
  outcome->body = Count(std::move(outcome->body), received_);
}

void AttemptLog::FillTimes(TimeMeter& time) const {
  const TimeMeter& all = exchange_.time;
  time.start = start_;
  time.wall_start = wall_start_;
  time.upstream_connecting = all.upstream_connecting;
  time.upstream_connected = all.upstream_connected;
  time.upstream_first_sent = all.upstream_first_sent;
  time.upstream_last_sent = all.upstream_last_sent;
  time.upstream_first_received = all.upstream_first_received;
  time.upstream_body_received = all.upstream_body_received;
  time.upstream_last_received = all.upstream_last_received;
  for (TimePoint* point :
       {&time.upstream_first_sent, &time.upstream_last_sent, &time.upstream_first_received,
        &time.upstream_body_received, &time.upstream_last_received})
    DropIfBefore(start_, *point);
  // A connection may be older than the attempt that it served.
  if (exchange_.upstream.connection_id != 0) return;
  DropIfBefore(start_, time.upstream_connecting);
  DropIfBefore(start_, time.upstream_connected);
}

void AttemptLog::Fill(View& view) const {
  FillTimes(view.time);
  view.set_remote_address(exchange_.remote_address());
  view.set_route(exchange_.route());
  view.upstream = exchange_.upstream;
  view.upstream.earlier.clear();
  if (answered_) view.upstream.transport_failure.clear();
  if (view.upstream.connection_id == 0) view.upstream.local = Address();

  const ByteMeter& all = exchange_.bytes;
  ByteMeter& bytes = view.bytes;
  bytes = all;
  // Seen from here the response is what was received.
  bytes.body_received = received_ == nullptr ? 0 : received_->bytes;
  bytes.body_sent = sent_ == nullptr ? 0 : sent_->bytes;
  if (exchange_.tunnel_established) {
    bytes.body_received = all.body_sent;
    bytes.body_sent = all.body_received;
  }
  bytes.response_head = response_ == nullptr ? 0 : response_->wire_bytes;
  bytes.upstream_wire_received -= before_.upstream_wire_received;
  bytes.upstream_wire_sent -= before_.upstream_wire_sent;
  if (exchange_.tunnel_established && exchange_.request_head() != nullptr) {
    bytes.upstream_wire_received += all.body_sent;
    bytes.upstream_wire_sent += all.body_received;
  }
  bytes.upstream_head_received -= before_.upstream_head_received;
  bytes.upstream_head_sent -= before_.upstream_head_sent;

  Reason reason = failure_;
  if (received_ != nullptr && !received_->error.ok()) reason = ReasonOf(received_->error);
  // That the client has left is no fault of this attempt.
  if (reason != Reason::kUnknown && reason != Reason::kCancelled && MeaningOf(reason).flag)
    view.Note(*MeaningOf(reason).flag);
}

AttemptLog::~AttemptLog() {
  if (failure_ == Reason::kNoHealthyUpstream) return;
  View view(exchange_);
  Fill(view);
  if (request_ == nullptr && exchange_.request_head() != nullptr)
    request_ = Copied(*exchange_.request_head());
  view.set_request_head(std::move(request_));
  view.set_response_head(response_.get());
  for (const AccessLoggerPtr& logger : loggers_) logger->Log(LogContext{view, "UpstreamEnd"});
}

}  // namespace sluice
