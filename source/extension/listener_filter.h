// ListenerFilter: what looks at an accepted connection before its filter chain is chosen.
// Immutable, shared by all workers.
#pragma once

#include <memory>

#include "source/extension/network_filter.h"

namespace sluice {

class ListenerFilter {
 public:
  virtual ~ListenerFilter() = default;

  /// Reads what it needs of connection.stream and corrects connection.facts. What it has read and
  /// does not use goes back in front of the stream (PrefixStream), also when it is interrupted. An
  /// error closes the connection; kCancelled when it was interrupted.
  virtual Task<absl::Status> Inspect(Connection& connection) const = 0;

  /// True when connections are to be asked for the address that they had before the system
  /// redirected them (SO_ORIGINAL_DST).
  virtual bool wants_original_destination() const { return false; }
};

}  // namespace sluice
