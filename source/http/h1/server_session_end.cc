// What a connection of requests ends with: a tunnel, or a client that is let read the last
// response. Worker thread only.
#include "source/base/reason.h"
#include "source/http/h1/h1_exchange.h"
#include "source/http/h1/server_session.h"
#include "source/http/h1/tunnel.h"

namespace sluice {

Task<> ServerSession::Tunnel(H1Exchange& exchange, Stream& upstream) {
  exchange.tunnel_established = true;
  // What came behind the head is counted once more where it moves on. It may have come with an
  // earlier request, whose it is then.
  uint64_t& received = exchange.bytes.downstream_wire_received;
  received -= std::min<uint64_t>(received, buffer_.unread().size());
  exchange.StopWatching();
  co_await exchange.watch_scope_.Join();
  handler_.OnTunnel(exchange);
  const TunnelEnd end =
      co_await RunTunnel(stream(), buffer_, upstream, exchange, settings_.received, settings_.sent);
  if (const Canceller& canceller = exchange.canceller(); canceller.cancelled())
    exchange.Note(MakeError(canceller.reason()));
  if (end.client_broke) exchange.Note(MakeError(Reason::kDownstreamClosed));
  if (!end.origin_broke) co_return;
  exchange.Note(ResponseFlag::kUpstreamConnectionTermination);
  exchange.set_details("upstream_reset_after_response_started{connection_termination}");
}

// Lets the client read the last response before the connection goes: an early close would reset it
// (RFC 9112 9.6). Zero time for it means none, as with Envoy.
Task<> ServerSession::Linger() {
  stream().ShutdownWrite();
  if (canceller().cancelled() || settings_.delayed_close_timeout <= Duration::zero()) co_return;
  Deadline deadline(worker().wheel(), canceller(), settings_.delayed_close_timeout);
  buffer_.Release();
  BufferRef waste = BufferRef::Take(BufferRef::kSmall);
  while (true) {
    auto count = co_await stream().ReadSome({waste.data(), waste.size()});
    if (!count.ok() || *count == 0) break;
  }
  if (deadline.fired()) settings_.delayed_closes.Add();
}

}  // namespace sluice
