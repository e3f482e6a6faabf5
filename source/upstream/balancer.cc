// The balancing policies. Worker threads.
#include "source/upstream/balancer.h"

#include <algorithm>

namespace sluice {
namespace {

bool SameWeights(const EndpointList& endpoints) {
  return std::all_of(endpoints.begin(), endpoints.end(), [&](const EndpointPtr& e) {
    return e->settings().weight == endpoints[0]->settings().weight;
  });
}

// Smooth weighted round robin: every endpoint earns its weight, the richest serves and pays the
// sum.
class RoundRobinBalancer final : public Balancer {
 public:
  EndpointPtr Pick(const EndpointList& endpoints, uint64_t, PickState& state,
                   Rng& rng) const override {
    if (endpoints.empty()) return nullptr;
    if (SameWeights(endpoints)) return endpoints[state.cursor++ % endpoints.size()];
    state.deficits.resize(endpoints.size(), 0);
    double sum = 0;
    size_t best = 0;
    for (size_t i = 0; i < endpoints.size(); ++i) {
      state.deficits[i] += endpoints[i]->settings().weight;
      sum += endpoints[i]->settings().weight;
      if (state.deficits[i] > state.deficits[best]) best = i;
    }
    state.deficits[best] -= sum;
    return endpoints[best];
  }
};

// Uniform among endpoints, or by weight where they differ.
EndpointPtr PickRandom(const EndpointList& endpoints, Rng& rng) {
  uint64_t sum = 0;
  for (const EndpointPtr& endpoint : endpoints) sum += endpoint->settings().weight;
  uint64_t ticket = rng.Below(sum);
  for (const EndpointPtr& endpoint : endpoints) {
    if (ticket < endpoint->settings().weight) return endpoint;
    ticket -= endpoint->settings().weight;
  }
  return endpoints.back();
}

class LeastRequestBalancer final : public Balancer {
 public:
  explicit LeastRequestBalancer(uint32_t choices) : choices_(choices) {}

  EndpointPtr Pick(const EndpointList& endpoints, uint64_t, PickState& state,
                   Rng& rng) const override {
    if (endpoints.empty()) return nullptr;
    size_t best = rng.Below(endpoints.size());
    for (uint32_t i = 1; i < choices_; ++i) {
      const size_t candidate = rng.Below(endpoints.size());
      if (Load(*endpoints[candidate]) < Load(*endpoints[best])) best = candidate;
    }
    return endpoints[best];
  }

 private:
  static double Load(const Endpoint& endpoint) {
    return static_cast<double>(endpoint.active() + 1) / endpoint.settings().weight;
  }
  const uint32_t choices_;
};

class RandomBalancer final : public Balancer {
 public:
  EndpointPtr Pick(const EndpointList& endpoints, uint64_t, PickState& state,
                   Rng& rng) const override {
    return endpoints.empty() ? nullptr : PickRandom(endpoints, rng);
  }
};

}  // namespace

std::unique_ptr<const Balancer> RoundRobin() {
  return std::make_unique<RoundRobinBalancer>();
}
std::unique_ptr<const Balancer> LeastRequest(uint32_t choices) {
  return std::make_unique<LeastRequestBalancer>(choices);
}
std::unique_ptr<const Balancer> RandomChoice() {
  return std::make_unique<RandomBalancer>();
}

}  // namespace sluice
