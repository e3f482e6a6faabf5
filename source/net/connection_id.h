// Numbers of connections, for logs. Any worker.
#pragma once

#include <cstdint>

#include "source/async/worker.h"

namespace sluice {

/// The number of a new connection, downstream or upstream; no other one of the process has it. To
/// be called on the thread of `worker`.
inline uint64_t NextConnectionId(const Worker& worker) {
  // One sequence for each worker: no counter is shared.
  thread_local uint64_t last = 0;
  return (++last << 8) | static_cast<uint64_t>(worker.index() & 0xff);
}

}  // namespace sluice
