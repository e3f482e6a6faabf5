// ListenSocket: a socket that takes connections. Opened on the main thread, then used by one
// worker.
#pragma once

#include "source/async/poller.h"
#include "source/net/dialer.h"
#include "source/net/stream.h"

namespace sluice {

/// One call of setsockopt.
struct SocketOption {
  enum class When : uint8_t { kBeforeBind, kBound, kListening };
  int level = 0;
  int name = 0;
  std::string value;  // as bytes
  When when = When::kBeforeBind;
};

struct ListenOptions {
  int backlog = 4096;
  bool reuse_port = true;  // TCP: several sockets may share the address (SO_REUSEPORT)
  uint32_t unix_mode = 0;  // permissions of a Unix socket's file; 0: the system's
  bool freebind = false;
  bool transparent = false;
  std::optional<int> fast_open_queue;
  std::optional<DialOptions::KeepAlive> keep_alive;  // of accepted connections
  std::vector<SocketOption> more;
  bool original_destination = false;  // accepted streams have the address before a redirection
};

class ListenSocket {
 public:
  /// Main thread: a listening descriptor. Port 0 of `address` becomes the real one; a socket file
  /// that is left from an earlier run is replaced. Unavailable with the address and the system's
  /// words.
  static absl::StatusOr<int> Open(Address& address, const ListenOptions& options);

  /// Takes the descriptor over, for the calling worker.
  ListenSocket(int fd, bool original_destination);
  ~ListenSocket() { Close(); }

  /// False once the socket is closed or the wait cancelled.
  Waiting WaitReadable() { return readiness_.WaitReadable(); }
  /// The next waiting connection; null when none waits. Errors: what the system says when it cannot
  /// give one (no descriptors).
  absl::StatusOr<StreamPtr> Accept();
  void Close();

 private:
  Readiness readiness_;
  int fd_;  // -1 when closed
  const bool original_destination_;
};

}  // namespace sluice
