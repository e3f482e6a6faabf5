// EndpointSet: the endpoints of a cluster as the workers see them: by priority, health and
// locality, with the share of the traffic that each gets. Immutable; made on the main thread.
#pragma once

#include <memory>
#include <vector>

#include "source/upstream/balancer.h"

namespace sluice {

/// common_lb_config and load_assignment.policy.
struct EndpointSetOptions {
  uint32_t overprovisioning_percent = 140;
  double panic_percent = 50;  // zero: never panic
  bool weighted_priority_health = false;
};

/// A worker's state for one set; made anew for every set.
struct PickState {
  std::vector<ListState> lists;
  std::vector<Schedule> localities;
};

class EndpointSet {
 public:
  /// Takes the health of the endpoints as it is now.
  EndpointSet(const EndpointList& endpoints, const EndpointSetOptions& options,
              const Balancer& balancer);

  struct Choice {
    const PickList* list = nullptr;  // null: nobody may serve
    bool panic = false;              // health was ignored
  };
  /// Worker: the list that serves the next request.
  Choice Choose(PickState& state, Rng& rng) const;
  /// The same for a retry that leaves priorities out. Where no other can serve, all may, and
  /// `exhausted` is set.
  Choice ChooseWithout(const std::vector<bool>& excluded, bool* exhausted, PickState& state,
                       Rng& rng) const;
  PickState NewState(int worker, Rng& rng) const;

  /// Percent of the traffic that a priority gets, for tests and for those who look.
  struct Load {
    uint32_t healthy = 0, degraded = 0;
    bool panic = false;
  };
  const std::vector<Load>& loads() const { return loads_; }

 private:
  // The endpoints of one state of health: one list, or one per locality.
  struct Group {
    std::vector<PickList> lists;
    std::vector<double> weights;  // of the localities; empty: there is one list
    size_t schedule = 0;
  };
  struct Level {
    Group healthy, degraded;
    Group all;  // for a panic
  };
  struct Share {
    uint32_t up_to;  // of 100
    const Group* group;
    bool panic;
  };
  struct Census {
    size_t hosts = 0, healthy = 0, degraded = 0, excluded = 0;
    // What the share of the priority goes by: the numbers above, or weights.
    uint64_t counted = 0, counted_healthy = 0, counted_degraded = 0;
  };

  Group MakeGroup(const EndpointList& members, const EndpointList& whole, bool by_locality);
  PickList MakeList(const EndpointList& endpoints, const std::vector<double>& weights);
  void Divide(const std::vector<Census>& levels);
  void DivideInPanic(const std::vector<Census>& levels);
  // What is available of each priority, in percent of the traffic.
  struct Available {
    uint32_t healthy = 0, degraded = 0;
  };
  static uint32_t Sum(const std::vector<Available>& available);
  static void Spread(const std::vector<Available>& available, std::vector<Load>& loads);
  std::vector<Share> SharesOf(const std::vector<Load>& loads) const;
  inline Choice ChooseFrom(const std::vector<Share>& shares, PickState& state, Rng& rng) const;

  const EndpointSetOptions options_;
  const Balancer& balancer_;
  std::vector<Level> levels_;
  std::vector<Available> available_;
  std::vector<Load> loads_;
  std::vector<Share> shares_;
  size_t lists_ = 0, schedules_ = 0;
};

}  // namespace sluice
