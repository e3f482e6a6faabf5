// envoy.load_balancing_policies.maglev: a table of fixed size in which every endpoint holds its
// share of the places, and keeps most of them when others come or go. Main thread, while a
// configuration is loaded.
#pragma once

#include "source/extension/registry.h"
#include "source/upstream/hash_balancer.h"

namespace sluice {

struct MaglevSettings {
  uint64_t table_size = 65537;  // a prime
  ConsistentHashing hashing;
};

/// Counts the table in `scope` (cluster.<name>).
std::unique_ptr<const Balancer> Maglev(const MaglevSettings& settings,
                                       const BalancerOptions& options, const stats::Scope& scope);

/// Makes the policy known.
void RegisterMaglev(Registry& registry);

}  // namespace sluice
