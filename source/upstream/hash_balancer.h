// HashBalancer: what the policies that hash have in common: a request's hash decides, requests
// without one are spread at random, and with bounded loads an endpoint that has more than its share
// passes requests on. Immutable; Pick runs on worker threads.
#pragma once

#include <string>

#include "source/upstream/balancer.h"

namespace sluice {

/// ConsistentHashingLbConfig.
struct ConsistentHashing {
  bool use_hostname = false;
  uint32_t balance_factor = 0;  // percent of the mean load that an endpoint may have; 0: any
};

class HashBalancer : public Balancer {
 public:
  HashBalancer(const ConsistentHashing& hashing, const BalancerOptions& options)
      : Balancer(options), hashing_(hashing) {}

  bool merges_localities() const final { return true; }
  bool uses_hash() const final { return true; }
  size_t Pick(const PickList& list, uint64_t hash, ListState& state, Rng& rng) const final;

 protected:
  /// What an endpoint is hashed by: its hash_key, its hostname or its address.
  std::string KeyOf(const Endpoint& endpoint) const;
  /// Weights of the list that add up to one.
  static std::vector<double> Shares(const PickList& list);
  /// The index that a hash means.
  virtual size_t Locate(const PickTable& table, uint64_t hash) const = 0;

 private:
  size_t WithinBounds(const PickList& list, size_t index, uint64_t hash) const;

  const ConsistentHashing hashing_;
};

}  // namespace sluice
