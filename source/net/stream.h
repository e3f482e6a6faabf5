// Stream: a connected pair of byte pipes, whatever carries it: TCP, a Unix socket, TLS, or memory
// in tests. A stream belongs to one worker; at most one read and one write are outstanding at a
// time.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "source/async/suspension.h"
#include "source/async/task.h"
#include "source/net/address.h"

namespace sluice {

class Stream {
 public:
  virtual ~Stream() = default;

  /// Reads at least one byte into `buffer`; 0 means that the peer has ended its direction. Errors:
  /// kCancelled; kConnectionTerminated with the system's words (a reset).
  virtual Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) = 0;

  /// Reads what is there without waiting; nullopt when nothing is. 0 is the end, as above.
  virtual absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) = 0;

  /// `co_await` it: until a read would not wait: bytes, the end or an error are there, as far as
  /// can be told without reading. No buffer is held meanwhile. False: cancelled, or closed by us.
  virtual Waiting WaitReadable() = 0;

  /// Writes what goes without waiting; the number of bytes that went. At most 16 parts. Errors as
  /// for ReadSome.
  virtual absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view> parts) = 0;

  /// Writes all parts in order, first without waiting; the bytes must stay in place until it
  /// returns. Errors as for ReadSome.
  virtual Task<absl::Status> Write(absl::Span<const std::string_view> parts) = 0;

  /// Ends our direction: the peer reads an end after what was written (TCP FIN). Idempotent.
  virtual void ShutdownWrite() = 0;

  /// Closes at once; a pending read or write returns kCancelled. `reset`: discard what was not sent
  /// and tell the peer so (TCP RST).
  virtual void Close(bool reset = false) = 0;

  /// Addresses of the two ends; unset where there are none.
  virtual Address local_address() const = 0;
  virtual Address remote_address() const = 0;

  /// The name that the TLS client asked for; empty without TLS.
  virtual std::string_view requested_server_name() const { return {}; }
  virtual bool is_tls() const { return false; }
};

using StreamPtr = std::unique_ptr<Stream>;

}  // namespace sluice
