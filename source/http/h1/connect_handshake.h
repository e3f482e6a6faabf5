// Asking a proxy for a tunnel: CONNECT on a stream that is not HTTP yet. Belongs to one worker.
#pragma once

#include <string>

#include "source/http/message.h"

namespace sluice {

struct ConnectAnswer {
  ResponseHeadPtr head;  // final; 2xx: the tunnel stands
  std::string early;     // what came behind the head: the tunnel's first bytes
};

/// Writes `request` (a whole head) and reads the answer's head; interim answers are skipped. A body
/// of a refusal is not read: the stream is of no more use then. Bound it with a Deadline. Errors:
/// kConnectionTerminated, kUpstreamProtocol, kCancelled.
Task<absl::StatusOr<ConnectAnswer>> AskForTunnel(Stream& stream, std::string request);

}  // namespace sluice
