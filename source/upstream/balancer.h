// Balancer: which endpoint of a list serves the next request. Immutable and shared; what changes
// from pick to pick is the worker's.
#pragma once

#include <memory>

#include "source/async/worker.h"
#include "source/upstream/endpoint.h"

namespace sluice {

/// A worker's own state for one cluster.
struct PickState {
  uint64_t cursor = 0;           // rotates; starts at random so that workers do not march in step
  std::vector<double> deficits;  // of weighted round robin
};

class Balancer {
 public:
  virtual ~Balancer() = default;
  /// Null when `endpoints` is empty. `hash` is the request's, where a policy asks for one. Worker
  /// thread.
  virtual EndpointPtr Pick(const EndpointList& endpoints, uint64_t hash, PickState& state,
                           Rng& rng) const = 0;
  /// Whether it looks at `hash`: a request's is computed only then.
  virtual bool uses_hash() const { return false; }
};

std::unique_ptr<const Balancer> RoundRobin();
/// Of `choices` endpoints taken at random the one with the fewest active requests.
std::unique_ptr<const Balancer> LeastRequest(uint32_t choices);
std::unique_ptr<const Balancer> RandomChoice();

}  // namespace sluice
