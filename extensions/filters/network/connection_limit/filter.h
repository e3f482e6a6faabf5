// envoy.filters.network.connection_limit: how many connections a filter chain may have at one time.
// Shared by all workers; one atomic counter, touched once per connection.
#pragma once

#include <atomic>

#include "source/config/runtime.h"
#include "source/extension/registry.h"
#include "source/observe/stats/stats.h"

namespace sluice {

class ConnectionLimit final : public NetworkFilter {
 public:
  /// `delay`: how long a connection that is one too many is kept; zero: it is closed at once.
  ConnectionLimit(uint64_t limit, Duration delay, config::RuntimeFlag enabled,
                  const stats::Scope& scope);

  Task<> Handle(Connection& connection, NetworkNext next) const override;

 private:
  const uint64_t limit_;
  const Duration delay_;
  const config::RuntimeFlag enabled_;
  const Counter limited_connections_;
  const Gauge active_connections_;
  mutable std::atomic<uint64_t> used_{0};
};

/// Makes the filter known.
void RegisterConnectionLimit(Registry& registry);

}  // namespace sluice
