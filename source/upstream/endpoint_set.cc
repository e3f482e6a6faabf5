// Dividing the traffic. Main thread, but for Choose.
#include "source/upstream/endpoint_set.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace sluice {
namespace {

using Locality = std::tuple<std::string, std::string, std::string>;

Locality LocalityOf(const Endpoint& endpoint) {
  const Endpoint::Settings& settings = endpoint.settings();
  return {settings.region, settings.zone, settings.sub_zone};
}

struct LocalityMembers {
  EndpointList members;
  size_t hosts = 0;  // with those of another health
  double weight = 0;
};

// How many of the hosts of each locality are members, and what the locality is worth: its weight,
// less where hosts are missing that overprovisioning does not make up for.
std::map<Locality, LocalityMembers> GroupByLocality(const EndpointList& members,
                                                    const EndpointList& whole, double factor) {
  std::map<Locality, LocalityMembers> localities;
  for (const EndpointPtr& endpoint : whole) {
    LocalityMembers& locality = localities[LocalityOf(*endpoint)];
    locality.weight = endpoint->settings().locality_weight;
    if (!endpoint->stats().health.excluded()) ++locality.hosts;
  }
  for (const EndpointPtr& endpoint : members)
    localities[LocalityOf(*endpoint)].members.push_back(endpoint);
  for (auto& [name, locality] : localities) {
    const double available = locality.hosts == 0 ? 0
                                                 : static_cast<double>(locality.members.size()) /
                                                       static_cast<double>(locality.hosts);
    locality.weight *= std::min(1.0, factor * available);
  }
  return localities;
}

uint32_t PercentOf(uint64_t part, uint64_t whole, uint32_t overprovisioning) {
  if (whole == 0) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(100, overprovisioning * part / whole));
}

}  // namespace

EndpointSet::EndpointSet(const EndpointList& endpoints, const EndpointSetOptions& options,
                         const Balancer& balancer)
    : options_(options), balancer_(balancer) {
  uint32_t highest = 0;
  for (const EndpointPtr& endpoint : endpoints)
    highest = std::max(highest, endpoint->settings().priority);
  std::vector<EndpointList> all(highest + 1), healthy(highest + 1), degraded(highest + 1);
  std::vector<Census> census(highest + 1);
  for (const EndpointPtr& endpoint : endpoints) {
    const uint32_t priority = endpoint->settings().priority;
    const HostHealth& health = endpoint->stats().health;
    all[priority].push_back(endpoint);
    if (health.health() == Health::kHealthy) healthy[priority].push_back(endpoint);
    if (health.health() == Health::kDegraded) degraded[priority].push_back(endpoint);
    census[priority].excluded += health.excluded() ? 1 : 0;
    const uint64_t count = options.weighted_priority_health ? endpoint->settings().weight : 1;
    census[priority].counted += health.excluded() ? 0 : count;
    census[priority].counted_healthy += health.health() == Health::kHealthy ? count : 0;
    census[priority].counted_degraded += health.health() == Health::kDegraded ? count : 0;
  }
  levels_.resize(highest + 1);
  for (uint32_t i = 0; i <= highest; ++i) {
    census[i].hosts = all[i].size();
    census[i].healthy = healthy[i].size();
    census[i].degraded = degraded[i].size();
    // The healthy ones last: what policies publish about their tables is about these.
    levels_[i].all = MakeGroup(all[i], all[i], false);
    levels_[i].degraded = MakeGroup(degraded[i], all[i], balancer_.options().locality_weighted);
    levels_[i].healthy = MakeGroup(healthy[i], all[i], balancer_.options().locality_weighted);
  }
  Divide(census);
  shares_ = SharesOf(loads_);
}

EndpointSet::Group EndpointSet::MakeGroup(const EndpointList& members, const EndpointList& whole,
                                          bool by_locality) {
  Group group;
  if (members.empty()) return group;
  if (by_locality) {
    auto localities = GroupByLocality(members, whole, options_.overprovisioning_percent / 100.0);
    std::vector<double> folded;
    EndpointList all;
    for (auto& [name, locality] : localities) {
      if (locality.weight <= 0 || locality.members.empty()) continue;
      double sum = 0;
      for (const EndpointPtr& endpoint : locality.members) sum += endpoint->settings().weight;
      if (balancer_.merges_localities()) {
        for (const EndpointPtr& endpoint : locality.members) {
          folded.push_back(endpoint->settings().weight * locality.weight / sum);
          all.push_back(endpoint);
        }
        continue;
      }
      group.weights.push_back(locality.weight);
      group.lists.push_back(MakeList(locality.members, {}));
    }
    if (!all.empty()) group.lists.push_back(MakeList(all, folded));
    if (group.lists.size() == 1) group.weights.clear();
    if (!group.weights.empty()) group.schedule = schedules_++;
    // Localities without any weight: as if they were not weighted.
    if (!group.lists.empty()) return group;
  }
  group.lists.push_back(MakeList(members, {}));
  return group;
}

PickList EndpointSet::MakeList(const EndpointList& endpoints, const std::vector<double>& weights) {
  PickList list;
  list.endpoints = endpoints;
  list.index = lists_++;
  list.weights = weights;
  for (size_t i = 0; weights.empty() && i < endpoints.size(); ++i)
    list.weights.push_back(endpoints[i]->settings().weight);
  if (std::all_of(list.weights.begin(), list.weights.end(),
                  [&](double weight) { return weight == list.weights.front(); })) {
    list.weights.clear();
  }
  for (const EndpointPtr& endpoint : endpoints) {
    list.slow_until = std::max(list.slow_until, endpoint->stats().health.healthy_since() +
                                                    balancer_.options().slow_start.window);
  }
  list.table = balancer_.Prepare(list);
  return list;
}

// Each priority takes what its healthy hosts can carry, the next ones the rest; what none can carry
// is spread over all in proportion.
void EndpointSet::Divide(const std::vector<Census>& levels) {
  loads_.assign(levels.size(), {});
  for (const Census& level : levels) {
    const uint32_t factor = options_.overprovisioning_percent;
    available_.push_back({PercentOf(level.counted_healthy, level.counted, factor),
                          PercentOf(level.counted_degraded, level.counted, factor)});
  }
  const uint32_t sum = Sum(available_);
  if (options_.panic_percent == 0 && sum == 0) {
    loads_[0].healthy = 100;
    return;
  }
  bool all_panic = true;
  for (size_t i = 0; i < levels.size(); ++i) {
    const size_t hosts = levels[i].hosts - levels[i].excluded;
    const size_t able = levels[i].healthy + levels[i].degraded;
    const double percent =
        hosts == 0 ? 0 : 100.0 * static_cast<double>(able) / static_cast<double>(hosts);
    loads_[i].panic = sum < 100 && percent < options_.panic_percent;
    all_panic = all_panic && loads_[i].panic;
  }
  if (all_panic) return DivideInPanic(levels);
  if (sum != 0) Spread(available_, loads_);
}

uint32_t EndpointSet::Sum(const std::vector<Available>& available) {
  uint32_t sum = 0;
  for (const Available& level : available) sum += level.healthy + level.degraded;
  return std::min<uint32_t>(sum, 100);
}

void EndpointSet::Spread(const std::vector<Available>& available, std::vector<Load>& loads) {
  const uint32_t sum = Sum(available);
  uint32_t left = 100;
  for (size_t i = 0; i < available.size(); ++i) {
    loads[i].healthy = std::min(left, available[i].healthy * 100 / sum);
    left -= loads[i].healthy;
  }
  for (size_t i = 0; i < available.size(); ++i) {
    loads[i].degraded = std::min(left, available[i].degraded * 100 / sum);
    left -= loads[i].degraded;
  }
  // What rounding left over goes to the first that serves at all.
  for (size_t i = 0; i < available.size() && left > 0; ++i) {
    uint32_t& load = available[i].healthy > 0 ? loads[i].healthy : loads[i].degraded;
    if (available[i].healthy + available[i].degraded > 0) load += std::exchange(left, 0);
  }
}

void EndpointSet::DivideInPanic(const std::vector<Census>& levels) {
  size_t hosts = 0;
  for (const Census& level : levels) hosts += level.hosts;
  if (hosts == 0) {
    loads_[0].healthy = 100;
    return;
  }
  uint32_t left = 100;
  for (size_t i = 0; i < levels.size(); ++i) {
    loads_[i].healthy = static_cast<uint32_t>(100 * levels[i].hosts / hosts);
    left -= loads_[i].healthy;
  }
  for (size_t i = 0; i < levels.size() && left > 0; ++i) {
    if (levels[i].hosts > 0) loads_[i].healthy += std::exchange(left, 0);
  }
}

std::vector<EndpointSet::Share> EndpointSet::SharesOf(const std::vector<Load>& loads) const {
  std::vector<Share> shares;
  uint32_t up_to = 0;
  const auto add = [&](uint32_t load, const Group& group, bool panic) {
    if (load == 0) return;
    up_to += load;
    shares.push_back({up_to, &group, panic});
  };
  for (size_t i = 0; i < levels_.size(); ++i) {
    const bool panic = loads[i].panic;
    add(loads[i].healthy, panic ? levels_[i].all : levels_[i].healthy, panic);
  }
  for (size_t i = 0; i < levels_.size(); ++i) {
    const bool panic = loads[i].panic;
    add(loads[i].degraded, panic ? levels_[i].all : levels_[i].degraded, panic);
  }
  return shares;
}

PickState EndpointSet::NewState(int worker, Rng& rng) const {
  PickState state;
  state.lists.resize(lists_);
  for (ListState& list : state.lists) {
    list.worker = worker;
    list.cursor = rng();
  }
  state.localities.resize(schedules_);
  return state;
}

inline EndpointSet::Choice EndpointSet::ChooseFrom(const std::vector<Share>& shares,
                                                   PickState& state, Rng& rng) const {
  if (shares.empty()) return {};
  const Share* share = &shares.front();
  if (shares.size() > 1) {
    const uint64_t ticket = rng.Below(100);
    while (share != &shares.back() && ticket >= share->up_to) ++share;
  }
  if (share->panic && balancer_.options().fail_on_panic) return {nullptr, true};
  const Group& group = *share->group;
  if (group.lists.empty()) return {nullptr, share->panic};
  if (group.weights.empty()) return {&group.lists.front(), share->panic};
  const auto weight = [&](size_t i) { return group.weights[i]; };
  Schedule& schedule = state.localities[group.schedule];
  if (schedule.empty()) schedule.Begin(group.weights.size(), weight, rng);
  return {&group.lists[schedule.Next(weight)], share->panic};
}

EndpointSet::Choice EndpointSet::Choose(PickState& state, Rng& rng) const {
  return ChooseFrom(shares_, state, rng);
}

EndpointSet::Choice EndpointSet::ChooseWithout(const std::vector<bool>& excluded, bool* exhausted,
                                               PickState& state, Rng& rng) const {
  *exhausted = false;
  if (excluded.empty()) return Choose(state, rng);
  std::vector<Available> available = available_;
  for (size_t i = 0; i < std::min(available.size(), excluded.size()); ++i) {
    if (excluded[i]) available[i] = {};
  }
  *exhausted = Sum(available) == 0;
  if (*exhausted) available = available_;
  if (Sum(available) == 0) return Choose(state, rng);
  std::vector<Load> loads(available.size());
  for (size_t i = 0; i < loads.size(); ++i) loads[i].panic = loads_[i].panic;
  Spread(available, loads);
  return ChooseFrom(SharesOf(loads), state, rng);
}

}  // namespace sluice
