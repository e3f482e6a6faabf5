// Asking a proxy for a tunnel, by CONNECT or by a request whose bodies are the tunnel. Belongs to
// one worker.
#pragma once

#include <functional>

#include "source/http/exchange.h"
#include "source/http/h1/client_session.h"
#include "source/net/stream.h"

namespace sluice {

struct TunnelAnswer {
  ResponseHeadPtr head;
  StreamPtr stream;  // the tunnel, if the answer is 2xx; else null
};

/// Sends `head` over `stream` and returns the answer. With CONNECT the tunnel is what follows the
/// heads; with any other method what is written to it is the request's body (chunked), and what is
/// read the response's: `on_trailers`, if there is one, then gets the response's trailers, if there
/// are any. The body of a refusal is not read. `exchange` outlives the tunnel, and its scope is
/// joined before the tunnel dies. Bound it with a Deadline. Errors: those of
/// ClientSession::RoundTrip.
Task<absl::StatusOr<TunnelAnswer>> AskForTunnel(StreamPtr stream, RequestHeadPtr head,
                                                Exchange& exchange, ClientSession::Limits limits,
                                                std::function<void(Headers&)> on_trailers);

}  // namespace sluice
