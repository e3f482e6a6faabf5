// Limits and the watch of an HTTP/1.1 exchange. Worker thread only.
#include "source/http/h1/h1_exchange.h"

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/http/h1/write.h"

namespace sluice {
namespace {

// A client is watched only once its answer takes this long: quick exchanges never pay for the
// watch.
constexpr Duration kWatchAfter = std::chrono::milliseconds(50);

}  // namespace

H1Exchange::H1Exchange(ServerSession& session)
    : Exchange(session.worker(), own_scope_, session.canceller(), session.connection_.facts),
      session_(session) {
  flow.client_paused = session.settings_.reading_paused;
  flow.client_resumed = session.settings_.reading_resumed;
}

H1Exchange::~H1Exchange() {
  DropExtras();
}

Task<absl::Status> H1Exchange::SendInterim(ResponseHeadPtr head) {
  if (response_started || request_head() == nullptr ||
      request_head()->version == HttpVersion::kHttp10)
    co_return absl::OkStatus();
  if (head->status == 100) continue_wanted = false;
  session_.handler_.OnInterim(head->status);
  std::string& scratch = worker().scratch();
  scratch.clear();
  WriteResponseHead(*head, ResponseFraming{}, &scratch);
  bytes.downstream_wire_sent += scratch.size();
  session_.settings_.sent.Add(scratch.size());
  Touch();
  const auto gone = TryWriteScratch(session_.stream(), scratch, {}, {});
  absl::Status status = gone.status();
  if (gone.ok() && *gone < scratch.size())
    status = co_await WriteRest(session_.stream(), scratch, {}, {}, *gone);
  if (status.ok()) co_return status;
  framing.keep_alive = false;  // Half of it may be on the wire.
  // Whoever asked for it is about to speak of the origin's connection: this is the client's.
  if (ReasonOf(status) == Reason::kCancelled) co_return status;
  co_return MakeError(Reason::kDownstreamClosed);
}

void H1Exchange::SkipWholeBody() {
  if (request_done || time.request_received == TimePoint{}) return;
  session_.buffer_.Consume(framing.length);
  bytes.body_received += framing.length;
  request_done = true;
  body_dropped = false;
}

void H1Exchange::NoteBrokenBody(const absl::Status& error) {
  const Reason reason = ReasonOf(error) == Reason::kCancelled && canceller().cancelled()
                            ? canceller().reason()
                            : ReasonOf(error);
  const ReasonMeaning& meaning = MeaningOf(reason);
  response_cut = true;
  set_failure(reason);
  if (meaning.flag.has_value()) Note(*meaning.flag);
  if (meaning.reset.empty()) return set_details(meaning.details);
  set_details(Cat("upstream_reset_after_response_started{", meaning.reset, "}"));
}

void H1Exchange::Settle() {
  limits_.Disarm();
  request_.Disarm();
  watch_.Disarm();
}

void H1Exchange::WatchClient() {
  worker().wheel().Arm(watch_, kWatchAfter);
}

void H1Exchange::StopWatching() {
  watch_.Disarm();
  if (!watch_scope_.empty()) watch_scope_.Cancel();
}

void H1Exchange::Watch::OnTimer() {
  exchange_.watch_scope_.Spawn(WatchPeer(exchange_));
}

Task<> H1Exchange::WatchPeer(H1Exchange& exchange) {
  Stream& stream = exchange.session_.stream();
  if (!co_await stream.WaitReadable()) co_return;
  // Bytes are the next request, which waits its turn; the end of the stream is a client that has
  // left.
  ReadBuffer& buffer = exchange.session_.buffer_;
  const auto count = stream.TryRead(buffer.Room());
  if (!count.ok() || (count->has_value() && **count == 0)) {
    exchange.canceller().Cancel(Reason::kDownstreamClosed);
  } else if (count->has_value()) {
    buffer.Added(**count);
    exchange.session_.settings_.received.Add(**count);
  }
}

}  // namespace sluice
