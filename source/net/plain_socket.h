// PlainSocket: what a Stream is as well whose bytes the system can move to another one without
// showing them to us. Belongs to one worker.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "source/async/task.h"
#include "source/net/pipe.h"

namespace sluice {

class PlainSocket {
 public:
  virtual ~PlainSocket() = default;

  /// True when nothing but the system stands between us and the peer: no TLS, no bytes that were
  /// read already. Then the functions below may be used in place of reading and writing.
  virtual bool IsPlain() const = 0;

  /// Moves what is there into `pipe`, which is empty; the answers are those of Stream::TryRead, and
  /// Unimplemented where the system cannot do it: nothing was moved then.
  virtual absl::StatusOr<std::optional<size_t>> TryFill(Pipe& pipe) = 0;

  /// Moves out of `pipe` what goes without waiting; the number of bytes. Errors as for
  /// Stream::TryWrite.
  virtual absl::StatusOr<size_t> TryDrain(Pipe& pipe) = 0;

  /// Moves out all that is left; `pipe` must stay in place until it returns. Errors as for
  /// Stream::Write.
  virtual Task<absl::Status> Drain(Pipe& pipe) = 0;
};

}  // namespace sluice
