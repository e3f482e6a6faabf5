// The balancing policies that need no table. Worker threads.
#include "source/upstream/balancer.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

// std::push_heap keeps the greatest in front: the greatest is the one that is due first.
bool DueLater(const Deadlined& a, const Deadlined& b) {
  return a.deadline != b.deadline ? a.deadline > b.deadline
                                  : static_cast<int32_t>(a.order - b.order) > 0;
}

class RoundRobinBalancer final : public Balancer {
 public:
  using Balancer::Balancer;

  bool can_peek() const override { return true; }
  size_t Pick(const PickList& list, uint64_t, ListState& state, Rng& rng) const override {
    TimePoint now{};
    if (IsEven(list, &now)) return state.cursor++ % list.endpoints.size();
    const auto weight = [&](size_t i) { return WeightOf(list, i, now); };
    if (state.schedule.empty()) state.schedule.Begin(list.endpoints.size(), weight, rng);
    return state.schedule.Next(weight);
  }
};

class LeastRequestBalancer final : public Balancer {
 public:
  LeastRequestBalancer(const LeastRequestSettings& settings, const BalancerOptions& options)
      : Balancer(options), settings_(settings) {}

  size_t Pick(const PickList& list, uint64_t, ListState& state, Rng& rng) const override {
    TimePoint now{};
    if (IsEven(list, &now)) return settings_.full_scan ? Scan(list, rng) : Sample(list, rng);
    const auto weight = [&](size_t i) {
      return std::max(WeightOf(list, i, now) / Load(*list.endpoints[i]), 1e-9);
    };
    if (state.schedule.empty()) state.schedule.Begin(list.endpoints.size(), weight, rng);
    return state.schedule.Next(weight);
  }

 private:
  double Load(const Endpoint& endpoint) const {
    const double active = static_cast<double>(std::max<int64_t>(endpoint.active(), 0) + 1);
    return settings_.active_request_bias == 1 ? active
                                              : std::pow(active, settings_.active_request_bias);
  }

  size_t Sample(const PickList& list, Rng& rng) const {
    const EndpointList& endpoints = list.endpoints;
    size_t best = rng.Below(endpoints.size());
    int64_t least = endpoints[best]->active();
    for (uint32_t i = 1; i < settings_.choices; ++i) {
      const size_t candidate = rng.Below(endpoints.size());
      const int64_t active = endpoints[candidate]->active();
      if (active >= least) continue;
      best = candidate;
      least = active;
    }
    return best;
  }

  // Among those with equally few requests one at random.
  size_t Scan(const PickList& list, Rng& rng) const {
    size_t best = 0;
    uint64_t equals = 0;
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < list.endpoints.size(); ++i) {
      const int64_t active = list.endpoints[i]->active();
      if (active > least) continue;
      equals = active == least ? equals + 1 : 1;
      least = active;
      if (rng.Below(equals) == 0) best = i;
    }
    return best;
  }

  const LeastRequestSettings settings_;
};

class RandomBalancer final : public Balancer {
 public:
  using Balancer::Balancer;

  bool can_peek() const override { return true; }
  size_t Pick(const PickList& list, uint64_t, ListState&, Rng& rng) const override {
    return rng.Below(list.endpoints.size());
  }
};

}  // namespace

void Schedule::Push(size_t index, double weight) {
  heap_.push_back({now_ + 1 / weight, order_++, static_cast<uint32_t>(index)});
  std::push_heap(heap_.begin(), heap_.end(), DueLater);
}

size_t Schedule::Pop() {
  std::pop_heap(heap_.begin(), heap_.end(), DueLater);
  const Deadlined due = heap_.back();
  heap_.pop_back();
  now_ = due.deadline;
  return due.index;
}

double SlowStart::FactorAt(TimePoint now, TimePoint healthy_since) const {
  const Duration age = now - healthy_since;
  if (window <= Duration::zero() || age >= window) return 1;
  const double passed = static_cast<double>(std::max<int64_t>(Milliseconds(age), 1)) /
                        static_cast<double>(std::max<int64_t>(Milliseconds(window), 1));
  const double grown = aggression == 1 ? passed : std::pow(passed, 1 / aggression);
  return std::min(1.0, std::max(grown, min_weight_percent / 100));
}

double Balancer::WeightOf(const PickList& list, size_t index, TimePoint now) const {
  const double weight = list.weights.empty() ? 1 : list.weights[index];
  if (options_.slow_start.window <= Duration::zero()) return weight;
  const double factor =
      options_.slow_start.FactorAt(now, list.endpoints[index]->stats().health.healthy_since());
  return std::max(weight * factor, 1e-9);
}

bool Balancer::IsEven(const PickList& list, TimePoint* now) const {
  if (options_.slow_start.window > Duration::zero()) {
    *now = Now();
    if (*now < list.slow_until) return false;
  }
  return list.weights.empty();
}

std::unique_ptr<const Balancer> RoundRobin(const BalancerOptions& options) {
  return std::make_unique<RoundRobinBalancer>(options);
}
std::unique_ptr<const Balancer> LeastRequest(const LeastRequestSettings& settings,
                                             const BalancerOptions& options) {
  return std::make_unique<LeastRequestBalancer>(settings, options);
}
std::unique_ptr<const Balancer> RandomChoice(const BalancerOptions& options) {
  return std::make_unique<RandomBalancer>(options);
}

}  // namespace sluice
