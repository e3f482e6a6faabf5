// RBAC for connections (envoy.filters.network.rbac): closes those that no policy allows. Immutable,
// shared by all workers.
#pragma once

#include <memory>
#include <string>

#include "api/envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "source/extension/network_filter.h"
#include "source/extension/rbac/engine.h"
#include "source/extension/registry.h"

namespace sluice {

/// <stat_prefix>.rbac.*
struct NetworkRbacStats {
  NetworkRbacStats(const stats::Scope& scope, const stats::Scope& shadow);

  Counter allowed, denied, shadow_allowed, shadow_denied;
};

class NetworkRbac final : public NetworkFilter {
 public:
  using Proto = envoy::extensions::filters::network::rbac::v3::RBAC;

  /// Main thread. Problems are reported at and below context.path.
  NetworkRbac(const Proto& config, FactoryContext& context);

  /// Decides at once: all that is asked about is known before the first byte.
  Task<> Handle(Connection& connection, NetworkNext next) const override;

 private:
  static Task<> Deny(Connection& connection, NetworkNext next, std::string details, Duration delay);

  const NetworkRbacStats stats_;
  std::unique_ptr<const RbacEngine> enforced_, shadow_;  // null: none
  const Duration delay_deny_;
};

/// Makes the filter known.
void RegisterNetworkRbac(Registry& registry);

}  // namespace sluice
