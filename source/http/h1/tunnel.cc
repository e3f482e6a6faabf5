// Synchronous-first copying; while a direction is silent it holds no buffer. Worker thread only.
#include "source/http/h1/tunnel.h"

#include "source/base/reason.h"

namespace sluice {
namespace {

struct Direction {
  Stream& from;
  Stream& to;
  uint64_t& bytes;
  Counter counter;
  Exchange& exchange;
  absl::Status result;  // of reading `from`, unless write_failed
  bool write_failed = false;
};

Task<absl::StatusOr<size_t>> ReadPart(Stream& from, BufferRef& buffer, size_t size) {
  while (true) {
    if (!buffer) buffer = BufferRef::Take(size);
    auto ready = from.TryRead({buffer.data(), buffer.size()});
    if (!ready.ok()) co_return ready.status();
    if (ready->has_value()) co_return **ready;
    buffer.reset();
    if (absl::Status status = co_await from.WaitReadable(); !status.ok()) co_return status;
  }
}

Task<absl::Status> CopyAll(Direction& direction) {
  BufferRef buffer;
  size_t size = BufferRef::kSmall;
  while (true) {
    auto count = co_await ReadPart(direction.from, buffer, size);
    if (!count.ok()) co_return count.status();
    if (*count == 0) break;
    if (*count == buffer.size()) size = BufferRef::kLarge;
    const std::string_view part[] = {{buffer.data(), *count}};
    absl::Status written = co_await direction.to.Write(part);
    if (!written.ok()) {
      direction.write_failed = true;
      co_return written;
    }
    direction.bytes += *count;
    direction.counter.Add(*count);
    direction.exchange.Touch();
    if (buffer.size() < size) buffer.reset();
  }
  direction.to.ShutdownWrite();
  co_return absl::OkStatus();
}

// Runs one direction; a failure cuts the other as well, since a byte stream with a hole is worth
// nothing.
Task<> Copy(Direction& direction) {
  direction.result = co_await CopyAll(direction);
  if (direction.result.ok()) co_return;
  direction.from.Close();
  direction.to.Close(!direction.write_failed &&
                     ReasonOf(direction.result) == Reason::kConnectionTerminated);
}

void NoteEnd(const Direction& up, const Direction& down, Exchange& exchange) {
  if (exchange.canceller().cancelled())
    return exchange.Note(MakeError(exchange.canceller().reason()));
  const bool client_broke = (!up.result.ok() && !up.write_failed &&
                             ReasonOf(up.result) == Reason::kConnectionTerminated) ||
                            (!down.result.ok() && down.write_failed);
  const bool origin_broke =
      (!down.result.ok() && !down.write_failed) || (!up.result.ok() && up.write_failed);
  if (client_broke) return exchange.Note(MakeError(Reason::kDownstreamClosed));
  if (!origin_broke) return;
  exchange.Note(ResponseFlag::kUpstreamConnectionTermination);
  exchange.set_details("upstream_reset_after_response_started{connection_termination}");
}

}  // namespace

Task<> RunTunnel(Stream& downstream, ReadBuffer& early, Stream& upstream, Exchange& exchange,
                 Counter received, Counter sent) {
  if (!early.empty()) {
    const std::string_view part[] = {early.view()};
    exchange.bytes.body_received += early.view().size();
    absl::Status written = co_await upstream.Write(part);
    early.Consume(early.view().size());
    early.Release();
    if (!written.ok()) {
      exchange.Note(ResponseFlag::kUpstreamConnectionTermination);
      co_return;
    }
  }
  Direction up{downstream, upstream, exchange.bytes.body_received,
               received,   exchange, absl::OkStatus()};
  Direction down{upstream, downstream, exchange.bytes.body_sent, sent, exchange, absl::OkStatus()};
  exchange.scope().Spawn(Copy(up));
  co_await Copy(down);
  if (!down.result.ok()) exchange.scope().Cancel();
  co_await exchange.scope().Join();
  NoteEnd(up, down, exchange);
}

}  // namespace sluice
