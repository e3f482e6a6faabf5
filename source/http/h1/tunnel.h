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

/// Which peers broke off. Whoever called says what that means, as what it means that the exchange
/// was cancelled: these are other things to a request than to a connection.
struct TunnelEnd {
  bool client_reset = false, origin_reset = false;  // as the transport tells it
  /// At most one of them, and none where the exchange was cancelled.
  bool client_broke = false, origin_broke = false;
};

/// Copies between `downstream` (after what `early` holds of it) and `upstream` until both
/// directions have ended. An end of one direction is passed on as an end (half-close); an error
/// ends both. Counts body bytes both ways in exchange.bytes and touches the idle limit; notes
/// nothing on the exchange, and ends what else its scope runs.
Task<TunnelEnd> RunTunnel(Stream& downstream, ReadBuffer& early, Stream& upstream,
                          Exchange& exchange, Counter received, Counter sent);

}  // namespace sluice
