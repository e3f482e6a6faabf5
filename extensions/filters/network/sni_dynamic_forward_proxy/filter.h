// envoy.filters.network.sni_dynamic_forward_proxy: the port for connections that go where their TLS
// client wants to go. The name is looked up, and judged by the egress guard, by the dynamic forward
// proxy cluster behind it. Immutable, shared by all workers.
#pragma once

#include <memory>

#include "source/extension/network_filter.h"
#include "source/extension/registry.h"

namespace sluice {

class SniDynamicForwardProxy final : public NetworkFilter {
 public:
  /// `port`: 0 for the cluster's own default.
  explicit SniDynamicForwardProxy(uint16_t port);

  /// Never a coroutine. A connection without a name goes on as it is: its cluster refuses it.
  Task<> Handle(Connection& connection, NetworkNext next) const override;

 private:
  const std::shared_ptr<const FilterStateObject> port_;  // null: not given
};

/// Makes the filter known.
void RegisterSniDynamicForwardProxy(Registry& registry);

}  // namespace sluice
