// The upstream side of HTTP/1.1. Worker thread only.
#include "source/http/h1/client_session.h"

#include <algorithm>

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/http/h1/head_writer.h"
#include "source/http/h1/message_body.h"
#include "source/http/h1/session_stream.h"
#include "source/http/h1/write.h"

namespace sluice {
namespace {

// More interim responses than this before a final one is no honest server.
constexpr int kMaxInterims = 100;

RequestFraming FramingOf(const Body* body) {
  if (body == nullptr) return {};
  const auto length = body->Length();
  return {length.has_value() ? RequestFraming::kLength : RequestFraming::kChunked,
          length.value_or(0)};
}

}  // namespace

// The connection as a response's body sees it; the lease ends with the body.
class UpstreamSource {
 public:
  UpstreamSource(SessionLease lease, Exchange& exchange)
      : lease_(std::move(lease)), exchange_(&exchange) {}

  ReadBuffer& buffer() const { return lease_->buffer_; }
  Stream& stream() const { return *lease_->stream_; }
  void Received(size_t bytes) {
    lease_->Received(bytes, *exchange_);
    TimePoint& begin = exchange_->time.upstream_body_received;
    if (begin == TimePoint{}) begin = Now();
  }
  void Delivered(size_t) {}  // The session counts what it writes.
  void Ended() { lease_->EndResponse(*exchange_); }
  // A reset leaves the message as unfinished as an end does.
  absl::Status Failed(absl::Status error) {
    if (ReasonOf(error) == Reason::kConnectionTerminated) return Truncated();
    return lease_->Failed(std::move(error));
  }
  absl::Status Truncated() {
    lease_->peer_closed_ = true;
    return lease_->Failed(MakeError(Reason::kUpstreamProtocol, "the body ended early"));
  }
  absl::Status Malformed(std::string_view details) {
    return lease_->Failed(MakeError(Reason::kUpstreamProtocol, details));
  }
  size_t max_read() const { return lease_->limits_.max_read; }
  bool KeepsTrailers() const { return lease_->limits_.enable_trailers; }
  bool NeedsPrelude() const { return false; }
  Task<absl::Status> Prelude() { co_return absl::OkStatus(); }

 private:
  SessionLease lease_;
  Exchange* exchange_;
};

SessionLease& SessionLease::operator=(SessionLease&& other) noexcept {
  std::swap(session_, other.session_);
  return *this;
}

void SessionLease::Release() {
  ClientSession& session = *session_;
  session.OnReleased(std::move(session_));
}

ClientSession::ClientSession(Worker& worker, StreamPtr stream, Limits limits, Meters meters)
    : worker_(worker), stream_(std::move(stream)), limits_(limits), meters_(meters) {}

ClientSession::~ClientSession() = default;

void ClientSession::Close(bool reset) {
  state_ = State::kBroken;
  if (stream_ != nullptr) stream_->Close(reset);
}

bool ClientSession::IsStale() {
  if (state_ != State::kIdle) return true;
  char byte;
  const auto read = stream_->TryRead({&byte, 1});
  if (read.ok() && !read->has_value()) return false;
  peer_closed_ = !read.ok() || **read == 0;
  Close();
  return true;
}

Task<absl::StatusOr<Response>> ClientSession::RoundTrip(SessionLease lease, Request& request,
                                                        Exchange& exchange) {
  ClientSession& session = *lease;
  session.state_ = State::kBusy;
  session.response_started_ = session.response_done_ = session.request_done_ = false;
  Task<absl::Status> sent = request.body == nullptr
                                ? session.SendRequest(*request.head, exchange)
                                : SendWithBody(lease.shared(), request, exchange);
  if (!sent.await_ready())
    return ReceiveAfter(std::move(sent), std::move(lease), *request.head, exchange);
  absl::Status status = sent.await_resume();
  if (!status.ok()) return status;
  return Receive(std::move(lease), *request.head, exchange);
}

Task<absl::StatusOr<Response>> ClientSession::ReceiveAfter(Task<absl::Status> sent,
                                                           SessionLease lease,
                                                           const RequestHead& request,
                                                           Exchange& exchange) {
  absl::Status status = co_await std::move(sent);
  if (!status.ok()) co_return status;
  co_return co_await Receive(std::move(lease), request, exchange);
}

// The head of the final response; what comes before it goes on to the client.
Task<absl::StatusOr<Response>> ClientSession::Receive(SessionLease lease,
                                                      const RequestHead& request,
                                                      Exchange& exchange) {
  ClientSession& session = *lease;
  for (int interims = 0; interims <= kMaxInterims; ++interims) {
    auto head = std::make_unique<ResponseHead>();
    Framing framing;
    ResponseHeadParser parser;
    parser.Reset(request.is_head(), request.is_connect(), request.upgrade);
    HeadResult result = session.ParseHead(parser, head.get(), &framing);
    while (result.state == HeadResult::kNeedMore) {
      if (!co_await session.stream_->WaitReadable())
        co_return session.FailedHead(MakeError(Reason::kCancelled));
      if (absl::Status filled = session.Fill(exchange); !filled.ok()) {
        const bool begun = !session.buffer_.empty();
        session.peer_closed_ = true;
        co_return session.FailedHead(
            begun ? MakeError(Reason::kUpstreamProtocol, "the head ended early")
                  : std::move(filled));
      }
      result = session.ParseHead(parser, head.get(), &framing);
    }
    if (result.state == HeadResult::kError)
      co_return session.FailedHead(MakeError(Reason::kUpstreamProtocol, result.details));
    head->arena.Keep(session.buffer_.buffer());
    head->wire_bytes = static_cast<uint32_t>(result.consumed);
    exchange.bytes.upstream_head_received += result.consumed;
    session.buffer_.Consume(result.consumed);
    if (head->status >= 200 || head->status == 101)
      co_return ResponseFrom(std::move(lease), std::move(head), framing, exchange);
    exchange.AddInterim(head->status);
    // A 100 answers an Expect that travelled on; otherwise the client had its 100 from us, or never
    // asked.
    if (head->status == 100 && !request.expects_continue) continue;
    if (absl::Status relayed = co_await exchange.SendInterim(std::move(head)); !relayed.ok())
      co_return session.FailedHead(std::move(relayed));
  }
  co_return session.FailedHead(MakeError(Reason::kUpstreamProtocol, "too many interim responses"));
}

HeadResult ClientSession::ParseHead(ResponseHeadParser& parser, ResponseHead* head,
                                    Framing* framing) {
  if (buffer_.empty()) return {};
  HeadLimits limits;
  limits.max_bytes = limits_.max_head_bytes;
  limits.max_headers = limits_.max_headers;
  return parser.Parse(buffer_.unread(), limits, head, framing);
}

Response ClientSession::ResponseFrom(SessionLease lease, ResponseHeadPtr head,
                                     const Framing& framing, Exchange& exchange) {
  exchange.time.upstream_first_received = Now();
  exchange.time.upstream_body_received = TimePoint{};  // of another attempt
  Response response{std::move(head), nullptr, nullptr};
  lease->keep_alive_ = framing.keep_alive;
  if (framing.kind == Framing::kTunnel) {
    // What came behind the head is counted once more where it moves on.
    uint64_t& received = exchange.bytes.upstream_wire_received;
    received -= std::min<uint64_t>(received, lease->buffer_.unread().size());
    response.tunnel = IntoTunnel(std::move(lease));
  } else if (framing.kind == Framing::kNone ||
             (framing.kind == Framing::kLength && framing.length == 0)) {
    lease->EndResponse(exchange);
  } else {
    if (!lease->buffer_.empty())
      exchange.time.upstream_body_received = exchange.time.upstream_first_received;
    response.body = MakeBody(UpstreamSource(std::move(lease), exchange), framing);
  }
  return response;
}

// Why there is no response: the request's own failure, if it had one, is the cause of the other.
absl::Status ClientSession::FailedHead(absl::Status status) {
  status = Failed(std::move(status));
  return pump_error_.ok() ? std::move(status) : pump_error_;
}

Task<absl::Status> ClientSession::SendRequest(const RequestHead& head, Exchange& exchange) {
  std::string& scratch = worker_.scratch();
  scratch.clear();
  WriteRequestHead(head, {}, &scratch);
  exchange.bytes.upstream_head_sent += scratch.size();
  exchange.time.upstream_first_sent = Now();
  Task<absl::Status> written = SendPart(false, {}, exchange);
  if (!written.await_ready()) return EndRequestAfter(*this, std::move(written), exchange);
  absl::Status status = written.await_resume();
  if (!status.ok()) return Failed(std::move(status));
  EndRequest(exchange);
  return absl::OkStatus();
}

Task<absl::Status> ClientSession::EndRequestAfter(ClientSession& self, Task<absl::Status> written,
                                                  Exchange& exchange) {
  absl::Status status = co_await std::move(written);
  if (!status.ok()) co_return self.Failed(std::move(status));
  self.EndRequest(exchange);
  co_return absl::OkStatus();
}

Task<absl::Status> ClientSession::SendWithBody(std::shared_ptr<ClientSession> self,
                                               Request& request, Exchange& exchange) {
  ClientSession& session = *self;
  const RequestFraming framing = FramingOf(request.body.get());
  const bool chunked = framing.kind == RequestFraming::kChunked;
  BodyPtr body = std::move(request.body);
  Chunk first;
  bool last = framing.kind == RequestFraming::kLength && framing.length == 0;
  if (!last && body->Ready()) {
    // The first bytes of the body leave together with the head.
    auto chunk = co_await body->Read();
    if (!chunk.ok()) co_return chunk.status();
    first = *std::move(chunk);
    last = first.empty() || (framing.kind == RequestFraming::kLength && body->Length() == 0);
  }
  // Only now: what is in the scratch memory is lost when another task runs.
  std::string& scratch = session.worker_.scratch();
  scratch.clear();
  WriteRequestHead(*request.head, framing, &scratch);
  exchange.bytes.upstream_head_sent += scratch.size();
  if (chunked && last) session.WriteLast(*body);
  exchange.time.upstream_first_sent = Now();
  absl::Status written = co_await session.SendPart(chunked, std::move(first), exchange);
  if (!written.ok()) co_return session.Failed(std::move(written));
  if (last) {
    session.EndRequest(exchange);
  } else {
    exchange.scope().Spawn(PumpBody(std::move(self), std::move(body), chunked, exchange));
  }
  co_return absl::OkStatus();
}

// Puts the end of a chunked body into the scratch buffer.
void ClientSession::WriteLast(Body& body) {
  WriteLastChunk(limits_.enable_trailers ? body.trailers() : nullptr, &worker_.scratch());
}

// Writes what is in the scratch buffer, then `chunk`, framed if need be.
Task<absl::Status> ClientSession::SendPart(bool chunked, Chunk chunk, Exchange& exchange) {
  std::string& scratch = worker_.scratch();
  const bool framed = chunked && !chunk.empty();
  if (framed) WriteChunkHeader(chunk.data.size(), &scratch);
  const std::string_view tail = framed ? "\r\n" : "";
  const size_t size = scratch.size() + chunk.data.size() + tail.size();
  const auto gone = TryWriteScratch(*stream_, scratch, chunk.data, tail);
  if (!gone.ok()) return gone.status();
  if (*gone < size) return SendRest(*this, std::move(chunk), tail, *gone, exchange);
  Sent(size, exchange);
  return absl::OkStatus();
}

Task<absl::Status> ClientSession::SendRest(ClientSession& self, Chunk chunk, std::string_view tail,
                                           size_t gone, Exchange& exchange) {
  const std::string& scratch = self.worker_.scratch();
  const size_t size = scratch.size() + chunk.data.size() + tail.size();
  exchange.flow.UpstreamIsFull();
  absl::Status status = co_await WriteRest(*self.stream_, scratch, chunk.data, tail, gone);
  if (!status.ok()) co_return status;
  exchange.flow.UpstreamTakesMore();
  self.Sent(size, exchange);
  co_return status;
}

void ClientSession::Sent(size_t size, Exchange& exchange) {
  meters_.sent.Add(size);
  exchange.bytes.upstream_wire_sent += size;
}

Task<> ClientSession::PumpBody(std::shared_ptr<ClientSession> self, BodyPtr body, bool chunked,
                               Exchange& exchange) {
  ClientSession& session = *self;
  while (true) {
    auto chunk = co_await body->Read();
    if (!chunk.ok()) {
      // Without the rest of its body the request is worth nothing: end it, and let the waiting side
      // say why.
      session.pump_error_ = chunk.status();
      session.Close(true);
      co_return;
    }
    session.worker_.scratch().clear();
    const bool last = chunk->empty();
    if (last && chunked) session.WriteLast(*body);
    absl::Status written = co_await session.SendPart(chunked, *chunk, exchange);
    // A peer that stops reading may still answer: its response decides, not this error.
    if (!written.ok()) co_return;
    if (last) break;
  }
  session.EndRequest(exchange);
}

// Takes what is there of the head; that may be nothing.
absl::Status ClientSession::Fill(Exchange& exchange) {
  const auto count = stream_->TryRead(buffer_.Room());
  if (!count.ok()) return count.status();
  if (!count->has_value()) return absl::OkStatus();
  peer_closed_ = **count == 0;
  if (peer_closed_) return MakeError(Reason::kConnectionTerminated);
  buffer_.Added(**count);
  Received(**count, exchange);
  response_started_ = true;
  return absl::OkStatus();
}

void ClientSession::Received(size_t bytes, Exchange& exchange) {
  meters_.received.Add(bytes);
  exchange.bytes.upstream_wire_received += bytes;
}

absl::Status ClientSession::Failed(absl::Status status) {
  if (ReasonOf(status) == Reason::kConnectionTerminated) peer_closed_ = true;
  Close();
  return status;
}

void ClientSession::EndRequest(Exchange& exchange) {
  request_done_ = true;
  exchange.time.upstream_last_sent = Now();
  BecomeIdle();
}

void ClientSession::EndResponse(Exchange& exchange) {
  response_done_ = true;
  exchange.time.upstream_last_received = Now();
  BecomeIdle();
}

void ClientSession::BecomeIdle() {
  // Bytes beyond the response belong to no request: such a connection cannot be trusted with
  // another one.
  if (state_ == State::kBusy && request_done_ && response_done_ && keep_alive_ && buffer_.empty())
    state_ = State::kIdle;
}

StreamPtr ClientSession::IntoTunnel(SessionLease lease) {
  lease->state_ = State::kBroken;  // Whatever becomes of the tunnel: HTTP is over here.
  lease->response_done_ = false;
  return std::make_unique<SessionStream>(std::move(lease));
}

}  // namespace sluice
