// envoy.load_balancing_policies.ring_hash: endpoints stand many times on a ring of hashes, and a
// request goes to the first one behind its own hash. Main thread, while a configuration is loaded.
#pragma once

#include "source/extension/registry.h"
#include "source/upstream/hash_balancer.h"

namespace sluice {

struct RingHashSettings {
  uint64_t minimum_size = 1024, maximum_size = 8 * 1024 * 1024;
  bool murmur = false;  // else XXH64
  ConsistentHashing hashing;
};

/// Counts the ring in `scope` (cluster.<name>).
std::unique_ptr<const Balancer> RingHash(const RingHashSettings& settings,
                                         const BalancerOptions& options, const stats::Scope& scope);

/// Makes the policy known.
void RegisterRingHash(Registry& registry);

}  // namespace sluice
