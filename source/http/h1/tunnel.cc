// Copying that tries first and waits only then; a bulky direction between plain sockets moves
// through a pipe of the system instead. While a direction is silent it holds neither buffer nor
// pipe. Worker thread only.
#include "source/http/h1/tunnel.h"

#include "source/base/reason.h"
#include "source/net/plain_socket.h"

namespace sluice {
namespace {

// A direction that brought this much in large pieces moves through a pipe, until the pieces are
// small again.
constexpr size_t kBulk = 256 * 1024;
constexpr size_t kLargePiece = 16 * 1024;
// After so much without a pause the other connections of the worker have their turn.
constexpr size_t kTurn = 1024 * 1024;

struct Direction {
  Stream& from;
  Stream& to;
  uint64_t& bytes;
  Counter counter;
  Exchange& exchange;
  const bool is_up;     // from the client
  absl::Status result;  // of reading `from`, unless write_failed
  bool write_failed = false;
  Event ended{};

  void Moved(size_t count) {
    bytes += count;
    counter.Add(count);
    exchange.Touch();
  }
  absl::Status Failed(absl::Status status) {
    write_failed = true;
    return status;
  }
  void IsFull() const { is_up ? exchange.flow.UpstreamIsFull() : exchange.flow.ClientIsFull(); }
  void TakesMore() const {
    is_up ? exchange.flow.UpstreamTakesMore() : exchange.flow.ClientTakesMore();
  }
};

PlainSocket* PlainSocketOf(Stream& stream) {
  auto* const socket = dynamic_cast<PlainSocket*>(&stream);
  return socket != nullptr && socket->IsPlain() ? socket : nullptr;
}

enum class Came : uint8_t { kEnd, kBulk, kLittle };

// Writes what would not go at once.
Task<absl::Status> WriteLater(Stream& to, BufferRef buffer, std::string_view rest) {
  Chunk chunk{std::move(buffer), rest};
  // A large buffer is too much to hold for little while the peer does not read.
  if (rest.size() <= BufferRef::kSmall) chunk = Chunk::Copy(rest);
  const std::string_view part[] = {chunk.data};
  co_return co_await to.Write(part);
}

// Copies until the end, or until the direction proves bulky.
Task<absl::StatusOr<Came>> Copy(Direction& direction) {
  size_t bulk = 0, turn = 0;
  while (true) {
    // The pool gives the buffer that was used last: nearly always the same, and warm.
    BufferRef buffer = BufferRef::Take(BufferRef::kLarge);
    const auto ready = direction.from.TryRead({buffer.data(), buffer.size()});
    if (!ready.ok()) co_return ready.status();
    if (!ready->has_value()) {
      buffer.reset();
      turn = 0;
      if (!co_await direction.from.WaitReadable()) co_return MakeError(Reason::kCancelled);
      continue;
    }
    const size_t count = **ready;
    if (count == 0) co_return Came::kEnd;
    const std::string_view part[] = {{buffer.data(), count}};
    const auto sent = direction.to.TryWrite(part);
    if (!sent.ok()) co_return direction.Failed(sent.status());
    if (*sent < count) {
      direction.IsFull();
      absl::Status status =
          co_await WriteLater(direction.to, std::move(buffer), part[0].substr(*sent));
      if (!status.ok()) co_return direction.Failed(std::move(status));
      direction.TakesMore();
      turn = 0;
    }
    direction.Moved(count);
    bulk = count >= kLargePiece ? bulk + count : 0;
    if (bulk >= kBulk) co_return Came::kBulk;
    turn += count;
    if (turn < kTurn) continue;
    turn = 0;
    buffer.reset();
    co_await Yield();
    if (co_await kIsCancelled) co_return MakeError(Reason::kCancelled);
  }
}

// Moves through a pipe until the end, or until only little comes.
Task<absl::StatusOr<Came>> Splice(Direction& direction, PlainSocket& from, PlainSocket& to) {
  size_t turn = 0;
  while (true) {
    Pipe pipe = Pipe::Take();
    if (!pipe) co_return Came::kLittle;
    const auto ready = from.TryFill(pipe);
    if (absl::IsUnimplemented(ready.status())) co_return Came::kLittle;
    if (!ready.ok()) co_return ready.status();
    if (!ready->has_value()) {
      pipe = Pipe();
      turn = 0;
      if (!co_await direction.from.WaitReadable()) co_return MakeError(Reason::kCancelled);
      continue;
    }
    const size_t count = **ready;
    if (count == 0) co_return Came::kEnd;
    const auto sent = to.TryDrain(pipe);
    if (!sent.ok()) co_return direction.Failed(sent.status());
    if (pipe.held() > 0) {
      direction.IsFull();
      if (absl::Status status = co_await to.Drain(pipe); !status.ok())
        co_return direction.Failed(std::move(status));
      direction.TakesMore();
      turn = 0;
    }
    direction.Moved(count);
    if (count < kLargePiece) co_return Came::kLittle;
    turn += count;
    if (turn < kTurn) continue;
    turn = 0;
    pipe = Pipe();
    co_await Yield();
    if (co_await kIsCancelled) co_return MakeError(Reason::kCancelled);
  }
}

Task<absl::Status> MoveAll(Direction& direction) {
  absl::StatusOr<Came> came = Came::kLittle;
  while (*came != Came::kEnd) {
    PlainSocket* const from = *came == Came::kBulk ? PlainSocketOf(direction.from) : nullptr;
    PlainSocket* const to = from != nullptr ? PlainSocketOf(direction.to) : nullptr;
    if (to != nullptr) {
      came = co_await Splice(direction, *from, *to);
    } else {
      came = co_await Copy(direction);
    }
    if (!came.ok()) co_return came.status();
  }
  direction.to.ShutdownWrite();
  if (auto* const late = dynamic_cast<LateEnd*>(&direction.to)) co_return co_await late->AwaitEnd();
  co_return absl::OkStatus();
}

// Reading met a reset.
bool WasReset(const Direction& direction) {
  return !direction.result.ok() && !direction.write_failed &&
         ReasonOf(direction.result) == Reason::kConnectionTerminated;
}

// Runs one direction; a failure cuts the other as well, since a byte stream with a hole is worth
// nothing.
Task<> Run(Direction& direction) {
  direction.result = co_await MoveAll(direction);
  if (!direction.result.ok()) {
    direction.from.Close();
    direction.to.Close(WasReset(direction));
  }
  direction.ended.Set();
}

TunnelEnd EndOf(const Direction& up, const Direction& down, Exchange& exchange) {
  TunnelEnd end{.client_reset = WasReset(up), .origin_reset = WasReset(down)};
  if (exchange.canceller().cancelled()) return end;
  end.client_broke = end.client_reset || (!down.result.ok() && down.write_failed);
  end.origin_broke = !end.client_broke && ((!down.result.ok() && !down.write_failed) ||
                                           (!up.result.ok() && up.write_failed));
  return end;
}

}  // namespace

Task<TunnelEnd> RunTunnel(Stream& downstream, ReadBuffer& early, Stream& upstream,
                          Exchange& exchange, Counter received, Counter sent) {
  if (!early.empty()) {
    const std::string_view part[] = {early.view()};
    exchange.bytes.body_received += early.view().size();
    absl::Status written = co_await upstream.Write(part);
    early.Consume(early.view().size());
    early.Release();
    // One of our limits ran out, or the origin broke off.
    if (!written.ok()) co_return TunnelEnd{.origin_broke = !exchange.canceller().cancelled()};
  }
  Direction up{downstream, upstream,        exchange.bytes.body_received, received, exchange,
               true,       absl::OkStatus()};
  Direction down{upstream, downstream, exchange.bytes.body_sent, sent,
                 exchange, false,      absl::OkStatus()};
  exchange.scope().Spawn(Run(up));
  co_await Run(down);
  // Limits interrupt what runs here, and nothing else: joining a scope does not hear them.
  if (down.result.ok()) (void)co_await up.ended.Wait();
  // Also after an orderly end: what else runs there (the periodic log) has no end of its own.
  exchange.scope().Cancel();
  co_await exchange.scope().Join();
  co_return EndOf(up, down, exchange);
}

}  // namespace sluice
