// The loop of a downstream HTTP/1.1 connection. Worker thread only.
#include "source/http/h1/server_session.h"

#include "source/base/reason.h"
#include "source/http/h1/date.h"
#include "source/http/h1/downstream_source.h"
#include "source/http/h1/h1_exchange.h"
#include "source/http/h1/message_body.h"
#include "source/http/h1/write.h"
#include "source/http/reply.h"

namespace sluice {
namespace {

// How long a client may be silent while it is to take the answer to what ran out of time, or to a
// bad head, where nothing else limits that.
constexpr Duration kAnswerPatience = std::chrono::minutes(1);

}  // namespace

// Ends the wait for a request when the connection has been idle, or has lived, for too long: as
// long as overload allows at the time. One timer, for every idle connection has it; it stays armed
// from one wait to the next (see TimerWheel::Arm).
class ServerSession::Patience final : public Timer {
 public:
  explicit Patience(ServerSession& session) : session_(session) {}
  /// A wait begins.
  void Begin() {
    since_ = Now();
    Start();
  }
  bool ended() const { return ended_; }

 private:
  void Start() {
    const ServerSessionSettings& settings = session_.settings_;
    Duration left = Duration::max();
    if (settings.idle_timeout > Duration::zero()) {
      left = settings.overload->Scaled(OverloadState::kConnectionIdle, settings.idle_timeout) -
             (Now() - since_);
    }
    left = std::min(left, session_.LeftToWait());
    if (left != Duration::max()) session_.worker().wheel().Arm(*this, left);
  }
  void OnReview() override { Start(); }
  void OnTimer() override {
    if (!session_.idle_) return;
    ended_ = true;
    session_.canceller().Interrupt();
  }

  ServerSession& session_;
  TimePoint since_{};
  bool ended_ = false;
};

ServerSession::ServerSession(Connection& connection, const ExchangeHandler& handler,
                             const ServerSessionSettings& settings)
    : connection_(connection), handler_(handler), settings_(settings) {
  connection.drainable = this;
}

ServerSession::~ServerSession() {
  connection_.drainable = nullptr;
}

void ServerSession::Drain() {
  if (idle_) canceller().Interrupt();
}

Task<> ServerSession::Run(std::unique_ptr<ServerSession> session) {
  ServerSession& self = *session;
  Patience patience(self);
  After after = After::kNext;
  while (after == After::kNext && self.MayAwaitRequest()) {
    if (self.buffer_.empty()) {
      self.buffer_.Release();
      self.idle_ = true;
      patience.Begin();
      const bool readable = co_await self.stream().WaitReadable();
      self.idle_ = false;
      if (patience.ended() && !self.IsTooOld()) self.settings_.idle_timeouts.Add();
      if (!readable || self.ShedsNew()) break;
    }
    after = co_await self.ServeOne();
    self.exchange_.reset();
    ++self.requests_;
  }
  if (self.IsTooOld()) self.settings_.duration_timeouts.Add();
  if (self.canceller().cancelled() && self.canceller().reason() == Reason::kDownstreamClosed)
    self.closed_by_peer_ = true;
  if (after == After::kLinger) co_await self.Linger();
  self.stream().Close();
}

bool ServerSession::MayAwaitRequest() const {
  if (canceller().cancelled()) return false;
  // A connection that was accepted while its listener drains has its one request.
  return !buffer_.empty() || !connection_.draining || requests_ == 0;
}

// What overload leaves of max_connection_duration; Duration::max() without a limit.
Duration ServerSession::LeftToLive() const {
  const Duration life = settings_.max_connection_duration;
  if (life <= Duration::zero()) return Duration::max();
  return settings_.overload->Scaled(OverloadState::kConnectionMax, life) -
         (Now() - connection_.facts.opened);
}

// How long an idle connection may wait by that: its client, which knows of no end, may be about to
// ask once more, and is told then.
Duration ServerSession::LeftToWait() const {
  const Duration life = LeftToLive();
  if (life == Duration::max() || requests_ == 0) return life;
  return life + settings_.drain_timeout;
}

// Whether a new connection is given up before its first byte is read; counted.
bool ServerSession::ShedsNew() const {
  if (requests_ > 0 || !settings_.overload->Applies(OverloadState::kShedCodec, worker().rng()))
    return false;
  settings_.shed_connections.Add();
  return true;
}

Task<HeadResult> ServerSession::ReadHead(H1Exchange& exchange, RequestHead& head,
                                         Framing* framing) {
  // The first bytes are there already: Run() saw them. Nearly always they are all.
  if (buffer_.empty()) {
    const auto ready = stream().TryRead(buffer_.Room());
    if (ready.ok() && ready->has_value()) Received(exchange, **ready);
  }
  HeadResult result;
  if (!buffer_.empty())
    result = exchange.parser.Parse(buffer_.unread(), settings_.limits, &head, framing);
  if (result.state != HeadResult::kNeedMore) return result;
  return ReadMoreOfHead(*this, exchange, head, framing);
}

void ServerSession::Received(H1Exchange& exchange, size_t bytes) {
  buffer_.Added(bytes);
  settings_.received.Add(bytes);
  exchange.bytes.downstream_wire_received += bytes;
}

Task<HeadResult> ServerSession::ReadMoreOfHead(ServerSession& self, H1Exchange& exchange,
                                               RequestHead& head, Framing* framing) {
  // A head that has begun is a stream, too: it has its time as a whole, and may not fall silent.
  Duration patience = self.settings_.request_headers_timeout;
  const Duration life = self.settings_.max_stream_duration;
  const bool by_life = life > Duration::zero() && (patience <= Duration::zero() || life < patience);
  if (by_life) patience = life;
  const TimePoint end = patience > Duration::zero() ? Now() + patience : TimePoint::max();
  const Duration idle = self.settings_.overload->Scaled(OverloadState::kStreamIdle,
                                                        self.settings_.stream_idle_timeout);
  HeadResult result;
  while (result.state == HeadResult::kNeedMore) {
    const Duration left = std::max<Duration>(end - Now(), std::chrono::milliseconds(1));
    const bool by_idle = idle > Duration::zero() && idle < left;
    Deadline deadline(self.worker().wheel(), self.canceller(), by_idle ? idle : left);
    const auto count = co_await self.stream().ReadSome(self.buffer_.Room());
    if (!count.ok() || *count == 0) {
      self.closed_by_peer_ = !deadline.Expired();
      result = {HeadResult::kError, HeadFault::kProtocol, 0, 0, "", ""};
      if (self.closed_by_peer_) {
        const bool drained = self.canceller().cancelled();
        result.details =
            MeaningOf(drained ? self.canceller().reason() : Reason::kDownstreamClosed).details;
        break;
      }
      if (by_idle) exchange.Note(ResponseFlag::kStreamIdleTimeout);
      result.Expire(by_idle, by_life);
      break;
    }
    self.Received(exchange, *count);
    result = exchange.parser.Parse(self.buffer_.unread(), self.settings_.limits, &head, framing);
  }
  co_return result;
}

// A whole head is turned away as if it were a bad one, so that nothing more is spent on it.
void ServerSession::Shed(HeadResult* result) {
  if (result->state == HeadResult::kError) return;
  result->state = HeadResult::kError;
  result->status = 500;
  result->body = "Internal Server Error";
  result->details = kShedDetails;
  result->fault = HeadFault::kShed;
}

Task<ServerSession::After> ServerSession::ServeOne() {
  exchange_ = std::make_unique<H1Exchange>(*this);
  H1Exchange& exchange = *exchange_;
  exchange.time.start = Now();
  exchange.time.wall_start = WallNow();
  auto head = std::make_unique<RequestHead>();
  HeadResult result = co_await ReadHead(exchange, *head, &exchange.framing);
  if (settings_.overload->Applies(OverloadState::kShedDispatch, worker().rng())) Shed(&result);
  exchange.bytes.request_head = result.consumed;
  const bool bad = result.state == HeadResult::kError;
  if (bad && result.status == 0) {
    // The client left before its request was whole: only what it began is worth a log line.
    if (!exchange.parser.started()) co_return After::kClose;
    exchange.Note(ResponseFlag::kDownstreamConnectionTermination);
    exchange.set_details(result.details);
    handler_.OnComplete(exchange);
    co_return After::kClose;
  }
  if (bad) KeepRefused(exchange, std::move(head));

  After after = After::kClose;
  {
    Task<Response> answer =
        bad ? Task<Response>(handler_.OnBadRequest(result, exchange))
            : handler_.OnRequest(BeginRequest(exchange, std::move(head), result.consumed),
                                 exchange);
    Response response = co_await std::move(answer);
    if (!bad) handler_.OnResponse(response, exchange);
    ResponseFraming framing;
    if (BeginAnswer(exchange, response, &framing)) {
      const bool whole = co_await WriteBody(exchange, response, framing);
      exchange.time.response_last_sent = Now();
      if (whole && response.tunnel == nullptr && !exchange.own_scope().empty() &&
          exchange.filter_state(kOutlivesResponse) != nullptr) {
        (void)co_await exchange.body_over.Wait();  // Within the exchange's limits.
      }
      if (whole && response.tunnel != nullptr) {
        co_await Tunnel(exchange, *response.tunnel);
      } else if (whole) {
        after = EndAnswer(exchange, framing);
      } else if (framing.kind == ResponseFraming::kUntilClose) {
        // An unfinished body that only the end of the connection would delimit must not look
        // finished.
        stream().Close(true);
      }
      exchange.keep_response(std::move(response.head));
    }
  }
  exchange.Settle();
  if (!exchange.own_scope().empty()) {
    exchange.own_scope().Cancel();
    co_await exchange.own_scope().Join();
  }
  exchange.StopWatching();
  if (!exchange.watch_scope_.empty()) co_await exchange.watch_scope_.Join();
  handler_.OnComplete(exchange);
  co_return bad ? After::kLinger : after;
}

// An answer that no limit of the request covers any more, or yet.
void ServerSession::LimitAnswer(H1Exchange& exchange) const {
  const Duration idle = settings_.stream_idle_timeout;
  exchange.LimitIdle(idle > Duration::zero() ? idle : kAnswerPatience);
}

// The log shows what is known of a head that is no request.
void ServerSession::KeepRefused(H1Exchange& exchange, RequestHeadPtr head) {
  exchange.framing.keep_alive = false;
  LimitAnswer(exchange);
  if (head->method.empty()) return;
  head->arena.Keep(buffer_.buffer());
  exchange.head_refused = true;
  exchange.set_request_head(std::move(head));
}

// A whole head: the request that it begins.
Request ServerSession::BeginRequest(H1Exchange& exchange, RequestHeadPtr head, size_t consumed) {
  head->arena.Keep(buffer_.buffer());
  head->wire_bytes = static_cast<uint32_t>(consumed);
  buffer_.Consume(consumed);
  exchange.head_complete = true;
  // The client's wait for a 100 is ours to end, unless the origin is to decide.
  if (!settings_.proxy_100_continue)
    exchange.continue_wanted = std::exchange(head->expects_continue, false);
  exchange.set_request_head(std::move(head));
  exchange.LimitIdle(settings_.stream_idle_timeout);
  if (settings_.max_stream_duration > Duration::zero())
    exchange.LimitDuration(settings_.max_stream_duration);

  Request request{exchange.request_head(), nullptr};
  const Framing& framing = exchange.framing;
  if (framing.kind == Framing::kChunked ||
      (framing.kind == Framing::kLength && framing.length > 0)) {
    // A body that came with its head is there, whoever reads it, and when.
    const bool here = framing.kind == Framing::kLength && framing.length <= buffer_.view().size();
    if (here) exchange.time.request_received = Now();
    if (!here && settings_.request_timeout > Duration::zero())
      worker().wheel().Arm(exchange.request_, settings_.request_timeout);
    request.body = MakeBody(DownstreamSource(exchange), framing);
  } else {
    exchange.request_done = true;
    exchange.time.request_received = Now();
    if (framing.kind != Framing::kTunnel) exchange.WatchClient();
  }
  return request;
}

bool ServerSession::MayStay(const H1Exchange& exchange) const {
  if (connection_.draining || canceller().cancelled() || !exchange.framing.keep_alive ||
      exchange.body_dropped || !settings_.healthy->load(std::memory_order_relaxed))
    return false;
  return !IsTooOld() && (settings_.max_requests_per_connection == 0 ||
                         requests_ + 1 < settings_.max_requests_per_connection);
}

ResponseFraming ServerSession::FramingFor(const H1Exchange& exchange,
                                          const Response& response) const {
  const RequestHead* request = exchange.request_head();
  const int status = response.head->status;
  ResponseFraming framing;
  if (response.tunnel != nullptr) {
    framing.kind = ResponseFraming::kTunnel;
    if (status == 101) framing.connection = ResponseFraming::kUpgrade;
    return framing;
  }
  const bool old = request != nullptr && request->version == HttpVersion::kHttp10;
  if ((request != nullptr && request->is_head()) || status == 204 || status == 304) {
    framing.kind = ResponseFraming::kNone;
  } else if (response.body == nullptr || response.body->Length().has_value()) {
    framing.kind = ResponseFraming::kLength;
    framing.length = response.body == nullptr ? 0 : *response.body->Length();
  } else {
    framing.kind = old ? ResponseFraming::kUntilClose : ResponseFraming::kChunked;
  }
  // A short answer is over before the rest of its request has come: what follows would be lost
  // unless the client knows. A stream may well last longer.
  const bool early = !exchange.request_done && framing.kind != ResponseFraming::kChunked;
  if (framing.kind == ResponseFraming::kUntilClose || early || !MayStay(exchange)) {
    framing.connection = ResponseFraming::kClose;
  } else if (settings_.overload->Applies(OverloadState::kDisableKeepalive, worker().rng())) {
    settings_.overload_closes.Add();
    framing.connection = ResponseFraming::kClose;
  } else if (old) {
    framing.connection = ResponseFraming::kSayKeepAlive;
  }
  return framing;
}

// Decides how the response is written; false when nobody is to get it.
bool ServerSession::BeginAnswer(H1Exchange& exchange, Response& response,
                                ResponseFraming* framing) {
  const bool left = exchange.flags().Has(ResponseFlag::kDownstreamConnectionTermination);
  if (left && response.head->is_local) {
    closed_by_peer_ = true;  // Inside its body: nobody waits for an answer.
    return false;
  }
  const bool limited = canceller().cancelled();
  if (limited) {
    const Reason reason = canceller().reason();
    if (MeaningOf(reason).status == 0) {
      exchange.Note(MakeError(reason));
      return false;
    }
    // A time limit passed: say so, unless the filters already had another answer ready.
    canceller().Reset();
    LimitAnswer(exchange);
    response.body = response.body == nullptr ? StaticBody("") : std::move(response.body);
  }
  ResponseHead& head = *response.head;
  if (limited || head.is_local) {
    if (head.is_local && (limited || exchange.upstream.cluster != nullptr))
      exchange.SkipWholeBody();
    if (!exchange.request_done) {
      exchange.framing.keep_alive = false;  // What is left of it would look like the next request.
      exchange.time.request_received = TimePoint{};
    }
  }
  exchange.set_response_head(&head);
  if (!head.headers.Has(HeaderId::kDate)) head.headers.AddSafe(HeaderId::kDate, HttpDate());
  // Bytes for the tunnel may follow a CONNECT that is refused. A client that is to log in first has
  // sent none, and asks again on this connection.
  const RequestHead* request = exchange.request_head();
  if (request != nullptr && request->is_connect() && head.status == 407 && buffer_.empty())
    exchange.framing.keep_alive = request->keep_alive;
  *framing = FramingFor(exchange, response);
  if (head.is_local && framing->kind == ResponseFraming::kLength && framing->length > 0)
    head.headers.Set(HeaderId::kContentLength, Cat(framing->length));  // for the log
  if (framing->kind == ResponseFraming::kNone && response.body != nullptr) {
    // An answer of our own to HEAD: its length is that of the answer to GET (RFC 9110 8.6).
    const auto length = response.body->Length();
    if (length.has_value() && head.status != 204 && head.status != 304)
      head.headers.Set(HeaderId::kContentLength, Cat(*length));
    response.body = nullptr;
  }
  exchange.time.response_first_sent = Now();
  exchange.response_started = true;
  if (settings_.max_requests_per_connection != 0 &&
      requests_ + 1 == settings_.max_requests_per_connection)
    settings_.request_limits.Add();
  return true;
}

// What is to become of the connection behind a whole response.
ServerSession::After ServerSession::EndAnswer(H1Exchange& exchange,
                                              const ResponseFraming& framing) const {
  if (framing.connection != ResponseFraming::kClose && exchange.request_done && MayStay(exchange))
    return After::kNext;
  return exchange.request_done && buffer_.empty() ? After::kClose : After::kLinger;
}

Task<absl::Status> ServerSession::Send(H1Exchange& exchange, std::string_view data,
                                       std::string_view tail) {
  std::string& scratch = worker().scratch();
  const size_t size = scratch.size() + data.size() + tail.size();
  const auto gone = TryWriteScratch(stream(), scratch, data, tail);
  if (!gone.ok()) return gone.status();
  if (*gone < size) return SendRest(*this, exchange, data, tail, *gone);
  Sent(exchange, size, data.size());
  return absl::OkStatus();
}

Task<absl::Status> ServerSession::SendRest(ServerSession& self, H1Exchange& exchange,
                                           std::string_view data, std::string_view tail,
                                           size_t gone) {
  const std::string& scratch = self.worker().scratch();
  const size_t size = scratch.size() + data.size() + tail.size();
  exchange.flow.ClientIsFull();
  absl::Status status = co_await WriteRest(self.stream(), scratch, data, tail, gone);
  if (!status.ok()) co_return status;
  exchange.flow.ClientTakesMore();
  self.Sent(exchange, size, data.size());
  co_return status;
}

void ServerSession::Sent(H1Exchange& exchange, size_t size, size_t body) {
  settings_.sent.Add(size);
  exchange.bytes.downstream_wire_sent += size;
  exchange.bytes.body_sent += body;
  exchange.Touch();
}

// Writes the head and the body, the first part of it in one go with the head; false when the
// response could not be finished.
Task<bool> ServerSession::WriteBody(H1Exchange& exchange, Response& response,
                                    const ResponseFraming& framing) {
  const bool chunked = framing.kind == ResponseFraming::kChunked;
  Body* body = response.body.get();
  bool more = body != nullptr && !(framing.kind == ResponseFraming::kLength && framing.length == 0);
  bool head_waits = true;
  while (more || head_waits) {
    Chunk chunk;
    bool last = false;
    if (more && (!head_waits || body->Ready())) {
      auto read = co_await body->Read();
      if (!read.ok()) {
        exchange.NoteBrokenBody(read.status());
        co_return false;
      }
      last = read->empty();
      chunk = *std::move(read);
      more = !last && !(framing.kind == ResponseFraming::kLength && body->Length() == 0);
      if (last) exchange.set_response_trailers(body->trailers());
    }
    // Only now: what is in the scratch memory is lost when another task runs.
    std::string& scratch = worker().scratch();
    scratch.clear();
    if (head_waits) WriteResponseHead(*response.head, framing, &scratch);
    if (head_waits) exchange.bytes.response_head = scratch.size();
    head_waits = false;
    if (chunked && last)
      WriteLastChunk(settings_.enable_trailers ? body->trailers() : nullptr, &scratch);
    if (chunked && !chunk.empty()) WriteChunkHeader(chunk.data.size(), &scratch);
    if (scratch.empty() && chunk.empty()) continue;
    const absl::Status sent =
        co_await Send(exchange, chunk.data, chunked && !chunk.empty() ? "\r\n" : "");
    if (!sent.ok()) {
      closed_by_peer_ = !canceller().cancelled();
      exchange.Note(MakeError(closed_by_peer_ ? Reason::kDownstreamClosed : canceller().reason()));
      co_return false;
    }
  }
  co_return true;
}

}  // namespace sluice
