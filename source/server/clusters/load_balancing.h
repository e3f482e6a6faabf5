// Balancers from their configuration, in both of Envoy's forms: lb_policy with its fields, and
// load_balancing_policy lists. Main thread, while a configuration is loaded.
#pragma once

#include "api/envoy/extensions/load_balancing_policies/common/v3/common.pb.h"
#include "source/extension/registry.h"

namespace sluice {

/// The cluster's balancer: of a load_balancing_policy list the first that is known, else that of
/// lb_policy. Null when there was a problem, which is reported.
std::unique_ptr<const Balancer> BuildBalancer(ClusterFactoryContext& context);

/// Registers the policies that need no table: round robin, least request, random.
void RegisterBalancers(Registry& registry);

}  // namespace sluice
