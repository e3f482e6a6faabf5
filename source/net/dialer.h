// Dialer: how connections to other hosts are made. Two exist: the system's sockets, and the memory
// network of the tests. Used on worker threads; immutable.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "source/async/worker.h"
#include "source/base/clock.h"
#include "source/base/metric.h"
#include "source/net/stream.h"

namespace sluice {

struct DialOptions {
  struct KeepAlive {
    std::optional<int> probes, idle_seconds, interval_seconds;
  };
  std::optional<KeepAlive>
      keep_alive;  // TCP keep-alive (upstream_connection_options.tcp_keepalive)
  /// Where connections come from: the first of the same family as the host's address; null: the
  /// system chooses (upstream_bind_config).
  struct Sources {
    std::vector<Address> addresses;
    bool free_bind = false;  // they need not be this machine's
    Counter errors;          // bind() failed
  };
  std::shared_ptr<const Sources> sources;
};

/// Turns keep-alive on, with the times that are given. False with errno where the system refuses.
bool SetKeepAlive(int fd, const DialOptions::KeepAlive& keep_alive);

class Dialer {
 public:
  virtual ~Dialer() = default;
  /// Connects to exactly `address`. Errors: kConnectRefused or kBindFailed with
  /// the system's words, kCancelled.
  virtual Task<absl::StatusOr<StreamPtr>> Dial(Address address, DialOptions options) const = 0;
};

/// The system's sockets: TCP (no delay) and Unix.
const Dialer& SocketDialer();

/// Connects to the first of `addresses` that answers (happy eyeballs, RFC 8305): the next one is
/// tried when the one before failed or has been silent for 300 ms; those that lose are closed. Runs
/// under `canceller`. Errors: that of the last address; kConnectTimeout after `timeout`;
/// kCancelled.
Task<absl::StatusOr<StreamPtr>> Connect(Worker& worker, Canceller& canceller, const Dialer& dialer,
                                        std::vector<Address> addresses, DialOptions options,
                                        Duration timeout);

}  // namespace sluice
