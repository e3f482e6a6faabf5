// Tunnels: bytes both ways between a client and an upstream stream, each direction ending on its
// own. Worker thread only.
#pragma once

#include "source/base/metric.h"
#include "source/http/exchange.h"
#include "source/http/h1/read_buffer.h"

namespace sluice {

/// What a stream also is whose end is a message of its own, which takes its time to leave.
class LateEnd {
 public:
  virtual ~LateEnd() = default;
  /// After ShutdownWrite(): returns when the end has left, or cannot any more. kCancelled.
  virtual Task<absl::Status> AwaitEnd() = 0;
};

/// Which peers broke off.
struct TunnelEnd {
  bool client_reset = false, origin_reset = false;  // as the transport tells it
  /// Whoever called says what this means: it is another thing to a request than to a connection.
  bool origin_broke = false;
};

/// Copies between `downstream` (after what `early` holds of it) and `upstream` until both
/// directions have ended. An end of one direction is passed on as an end (half-close); an error
/// ends both. Counts body bytes both ways in exchange.bytes, touches the idle limit, and notes on
/// the exchange how it ended, but for an origin that broke off.
Task<TunnelEnd> RunTunnel(Stream& downstream, ReadBuffer& early, Stream& upstream,
                          Exchange& exchange, Counter received, Counter sent);

}  // namespace sluice
