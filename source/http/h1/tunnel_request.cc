// The client's side of a tunnel. Worker thread only.
#include "source/http/h1/tunnel_request.h"

#include <algorithm>
#include <cstring>

#include "source/base/reason.h"
#include "source/http/h1/client_session.h"
#include "source/http/h1/tunnel.h"

namespace sluice {
namespace {

// Outlives the leases of its exchange: one direction may end long before the other.
class TunnelSession final : public ClientSession {
 public:
  using ClientSession::ClientSession;

 private:
  void OnReleased(std::shared_ptr<ClientSession>) override {}
};

// What a stream's writer hands to the session's pump, one piece at a time.
struct Outbox {
  Chunk piece;
  bool ended = false;   // nothing follows the piece
  bool broken = false;  // one of the two is gone
  Event filled, taken;

  void Break() {
    broken = true;
    filled.Set();
    taken.Set();
  }
};

class OutboxBody final : public Body {
 public:
  explicit OutboxBody(std::shared_ptr<Outbox> outbox) : outbox_(std::move(outbox)) {}
  ~OutboxBody() override { outbox_->Break(); }

  Task<absl::StatusOr<Chunk>> Read() override {
    outbox_->taken.Set();  // Who asks for the next piece has written the one before.
    while (outbox_->piece.empty() && !outbox_->ended && !outbox_->broken) {
      outbox_->filled.Clear();
      if (!co_await outbox_->filled.Wait()) co_return MakeError(Reason::kCancelled);
    }
    if (outbox_->broken) co_return MakeError(Reason::kCancelled);
    co_return std::exchange(outbox_->piece, Chunk());
  }

 private:
  const std::shared_ptr<Outbox> outbox_;
};

// The bodies of a request and of its response as a stream.
class BodyStream final : public Stream, public LateEnd {
 public:
  BodyStream(std::shared_ptr<ClientSession> session, std::shared_ptr<Outbox> outbox, BodyPtr body,
             std::function<void(Headers&)> on_trailers, Scope& scope)
      : session_(std::move(session)),
        outbox_(std::move(outbox)),
        scope_(scope),
        body_(std::move(body)),
        on_trailers_(std::move(on_trailers)),
        ended_(body_ == nullptr) {}
  ~BodyStream() override { Close(false); }

  Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) override {
    while (true) {
      const auto count = TryRead(buffer);
      if (!count.ok()) co_return count.status();
      if (count->has_value()) co_return **count;
      if (!co_await WaitReadable()) co_return MakeError(Reason::kCancelled);
    }
  }

  absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) override {
    if (!error_.ok()) return error_;
    if (ended_) return size_t{0};
    if (left_.empty()) return std::nullopt;
    const size_t count = std::min(buffer.size(), left_.data.size());
    std::memcpy(buffer.data(), left_.data.data(), count);
    left_.data.remove_prefix(count);
    if (left_.empty()) left_.buffer.reset();
    return count;
  }

  Waiting WaitReadable() override {
    if (!HasNews() && !std::exchange(reading_, true)) scope_.Spawn(ReadOn(*this));
    return HasNews() ? Waiting(true) : Waiting(reader_);
  }

  // Nothing goes without the pump.
  absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view>) override { return size_t{0}; }

  // What is handed over is a copy: the pump may be at it still when the writer was cancelled.
  Task<absl::Status> Write(absl::Span<const std::string_view> parts) override {
    for (const std::string_view part : parts) {
      if (part.empty()) continue;
      if (outbox_->broken || outbox_->ended) co_return MakeError(Reason::kConnectionTerminated);
      outbox_->piece = Chunk::Copy(part);
      outbox_->taken.Clear();
      outbox_->filled.Set();
      if (!co_await outbox_->taken.Wait()) co_return MakeError(Reason::kCancelled);
      if (outbox_->broken) co_return MakeError(Reason::kConnectionTerminated);
    }
    co_return absl::OkStatus();
  }

  void ShutdownWrite() override {
    outbox_->ended = true;
    outbox_->filled.Set();
  }

  Task<absl::Status> AwaitEnd() override {
    // The pump lets its body go when all has been written.
    while (!outbox_->broken) {
      outbox_->taken.Clear();
      if (!co_await outbox_->taken.Wait()) co_return MakeError(Reason::kCancelled);
    }
    co_return absl::OkStatus();
  }

  void Close(bool reset) override {
    outbox_->Break();
    session_->Close(reset);
  }

  Address local_address() const override { return session_->stream().local_address(); }
  Address remote_address() const override { return session_->stream().remote_address(); }

 private:
  bool HasNews() const { return !left_.empty() || ended_ || !error_.ok(); }

  // The next piece of the body; who waits for it may give up meanwhile, and ask again.
  static Task<> ReadOn(BodyStream& self) {
    auto chunk = co_await self.body_->Read();
    self.reading_ = false;
    if (chunk.ok()) {
      self.left_ = *std::move(chunk);
      self.ended_ = self.left_.empty();
    } else {
      // However a body breaks off: for bytes that is a reset.
      self.error_ =
          MakeError(ReasonOf(chunk.status()) == Reason::kCancelled ? Reason::kCancelled
                                                                   : Reason::kConnectionTerminated,
                    Std(chunk.status().message()));
    }
    if (self.ended_ && self.on_trailers_ && self.body_->trailers() != nullptr)
      self.on_trailers_(*self.body_->trailers());
    while (self.reader_ != nullptr) self.reader_->Wake();
  }

  const std::shared_ptr<ClientSession> session_;
  const std::shared_ptr<Outbox> outbox_;
  Scope& scope_;
  const BodyPtr body_;
  const std::function<void(Headers&)> on_trailers_;
  Chunk left_;  // of what was read
  bool reading_ = false;
  bool ended_;
  absl::Status error_;
  Suspension* reader_ = nullptr;
};

}  // namespace

Task<absl::StatusOr<TunnelAnswer>> AskForTunnel(StreamPtr stream, RequestHeadPtr head,
                                                Exchange& exchange, ClientSession::Limits limits,
                                                std::function<void(Headers&)> on_trailers) {
  const std::shared_ptr<ClientSession> session = std::make_shared<TunnelSession>(
      exchange.worker(), std::move(stream), limits, ClientSession::Meters());
  Request request{head.get(), nullptr};
  const auto outbox = head->is_connect() ? nullptr : std::make_shared<Outbox>();
  if (outbox != nullptr) request.body = std::make_unique<OutboxBody>(outbox);
  auto response = co_await ClientSession::RoundTrip(SessionLease(session), request, exchange);
  const bool accepted = response.ok() && response->head->status / 100 == 2;
  if (!accepted) {
    // Its pump goes with it.
    if (outbox != nullptr) outbox->Break();
    session->Close();
    if (!response.ok()) co_return response.status();
    co_return TunnelAnswer{std::move(response->head), nullptr};
  }
  TunnelAnswer answer{std::move(response->head), std::move(response->tunnel)};
  if (outbox != nullptr) {
    answer.stream = std::make_unique<BodyStream>(session, outbox, std::move(response->body),
                                                 std::move(on_trailers), exchange.scope());
  }
  co_return answer;
}

}  // namespace sluice
