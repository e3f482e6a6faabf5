// Lists of endpoints: published from the main thread, picked from on the workers.
#include "source/upstream/endpoint_cluster.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"

namespace sluice {
namespace {

bool Same(const Endpoint::Settings& a, const Endpoint::Settings& b) {
  return a.hostname == b.hostname && a.addresses == b.addresses && a.weight == b.weight &&
         a.priority == b.priority && a.region == b.region && a.zone == b.zone &&
         a.sub_zone == b.sub_zone && a.locality_weight == b.locality_weight &&
         a.hash_key == b.hash_key && a.metadata == b.metadata &&
         a.configured_health == b.configured_health && a.health_check == b.health_check;
}

HealthTarget TargetOf(const Endpoint& endpoint) {
  const Endpoint::Settings::HealthCheck& check = endpoint.settings().health_check;
  HealthTarget target{endpoint.shared_stats(), endpoint.address(), check.hostname};
  if (check.address.is_set()) target.address = check.address;
  if (check.port != 0) target.address = target.address.WithPort(check.port);
  return target;
}

void SetConfiguredHealth(HostHealth& health, ConfiguredHealth configured) {
  health.Set(HostHealth::kFailedEdsHealth, configured == ConfiguredHealth::kUnhealthy);
  health.Set(HostHealth::kEdsStatusDraining, configured == ConfiguredHealth::kDraining);
  health.Set(HostHealth::kDegradedEdsHealth, configured == ConfiguredHealth::kDegraded);
}

EndpointSetOptions OptionsOf(const envoy::config::cluster::v3::Cluster& config,
                             double panic_percent) {
  EndpointSetOptions options;
  const auto& policy = config.load_assignment().policy();
  if (policy.has_overprovisioning_factor())
    options.overprovisioning_percent = policy.overprovisioning_factor().value();
  options.weighted_priority_health = policy.weighted_priority_health();
  options.panic_percent = std::clamp(panic_percent, 0.0, 100.0);
  return options;
}

double PanicPercentOf(const envoy::config::cluster::v3::Cluster& config) {
  const auto& common = config.common_lb_config();
  return common.has_healthy_panic_threshold() ? common.healthy_panic_threshold().value()
                                              : EndpointSetOptions().panic_percent;
}

std::optional<SubsetSettings> SubsetsOf(const envoy::config::cluster::v3::Cluster& config) {
  if (config.lb_subset_config().subset_selectors().empty()) return std::nullopt;
  auto settings = SubsetSettings::Build(config.lb_subset_config());
  if (!settings.ok()) return std::nullopt;  // Reported by who makes the cluster.
  return *std::move(settings);
}

}  // namespace

EndpointCluster::EndpointCluster(ClusterSettings settings,
                                 const envoy::config::cluster::v3::Cluster& config,
                                 const stats::Scope& scope, const Dialer& dialer, size_t workers,
                                 std::unique_ptr<const Balancer> balancer)
    : Cluster(std::move(settings), config, scope, dialer, workers),
      balancer_(std::move(balancer)),
      panic_percent_(this->settings().runtime, "upstream.healthy_panic_threshold",
                     PanicPercentOf(config)),
      options_(OptionsOf(config, panic_percent_.Get())),
      subset_settings_(SubsetsOf(config)),
      slots_(workers) {
  if (balancer_->measures()) set_measuring(*balancer_);
  Rng rng(static_cast<uint64_t>(Now().time_since_epoch().count()));
  const Sets sets = MakeSets();
  for (Slot& slot : slots_) SetState(slot, sets, static_cast<int>(&slot - slots_.data()), rng);
}

EndpointCluster::~EndpointCluster() = default;

Task<absl::StatusOr<EndpointPtr>> EndpointCluster::Pick(const SendOptions& options,
                                                        Exchange& exchange) const {
  Slot& slot = slots_[exchange.worker().index()];
  if (slot.subsets != nullptr || !slot.ahead.empty() || options.attempted != nullptr)
    return PickWithCare(slot, options, exchange);
  Rng& rng = exchange.worker().rng();
  const EndpointSet::Choice choice = slot.set->Choose(slot.state, rng);
  if (choice.panic) stats().lb_healthy_panic.Add();
  if (choice.list == nullptr) return MakeError(Reason::kNoHealthyUpstream);
  const PickList& list = *choice.list;
  return list.endpoints[balancer_->Pick(list, options.hash, slot.state.lists[list.index], rng)];
}

// What an ordinary request does not pay for.
absl::StatusOr<EndpointPtr> EndpointCluster::PickWithCare(Slot& slot, const SendOptions& options,
                                                          Exchange& exchange) const {
  EndpointPtr chosen;
  if (slot.subsets != nullptr) {
    chosen = ChooseSubset(slot, options, exchange);
  } else if (!slot.ahead.empty() && options.attempted == nullptr) {
    chosen = std::move(slot.ahead.front());
    slot.ahead.erase(slot.ahead.begin());
  } else {
    chosen = Choose(*slot.set, slot.state, options, exchange.worker().rng());
  }
  if (chosen == nullptr) return MakeError(Reason::kNoHealthyUpstream);
  return chosen;
}

EndpointPtr EndpointCluster::Choose(const EndpointSet& set, PickState& state,
                                    const SendOptions& options, Rng& rng) const {
  // A retry may leave priorities out, until there is no other left.
  AttemptedHosts* const attempted = options.attempted;
  EndpointSet::Choice choice;
  if (attempted != nullptr && attempted->avoid.priority_frequency != 0) {
    bool exhausted = false;
    choice = set.ChooseWithout(attempted->ExcludedPriorities(), &exhausted, state, rng);
    if (exhausted) attempted->forgotten = attempted->hosts.size();
  } else {
    choice = set.Choose(state, rng);
  }
  if (choice.panic) stats().lb_healthy_panic.Add();
  if (choice.list == nullptr) return nullptr;
  const PickList& list = *choice.list;
  return list.endpoints[balancer_->Pick(list, options.hash, state.lists[list.index], rng)];
}

EndpointPtr EndpointCluster::ChooseSubset(Slot& slot, const SendOptions& options,
                                          Exchange& exchange) const {
  Rng& rng = exchange.worker().rng();
  const MetadataCriteria* criteria = options.criteria;
  std::optional<MetadataCriteria> own;
  if (const google::protobuf::Struct* metadata = exchange.metadata("envoy.lb")) {
    static const MetadataCriteria kNothing({});
    criteria = &own.emplace((criteria == nullptr ? kNothing : *criteria).With(*metadata));
  }
  const SubsetTable::Found found = slot.subsets->Find(criteria);
  if (found.set == nullptr && !found.any) return nullptr;
  const EndpointSet& set = found.any ? *slot.set : *found.set;
  PickState& state = found.any ? slot.state : slot.subset_states[found.index];
  EndpointPtr chosen = Choose(set, state, options, rng);
  if (found.set != nullptr && !found.is_fallback) {
    stats().lb_subsets_selected.Add();
  } else if (found.is_fallback && chosen != nullptr) {
    stats().lb_subsets_fallback.Add();
  }
  return chosen;
}

EndpointPtr EndpointCluster::PeekNext(Worker& worker) const {
  Slot& slot = slots_[worker.index()];
  // Where a choice depends on the request or on what happens meanwhile nobody can tell.
  if (!balancer_->can_peek() || slot.subsets != nullptr ||
      slot.ahead.size() > slot.endpoints.size())
    return nullptr;
  EndpointPtr next = Choose(*slot.set, slot.state, {}, worker.rng());
  if (next != nullptr) slot.ahead.push_back(next);
  return next;
}

PoolLoad EndpointCluster::LoadOn(int worker) const {
  PoolLoad sum;
  for (const EndpointPtr& endpoint : slots_[worker].endpoints) {
    if (const ConnPool* pool = endpoint->pool(worker).get()) {
      const PoolLoad load = pool->load();
      sum.requests += load.requests;
      sum.connections += load.connections;
    }
  }
  return sum;
}

std::optional<Cluster::Membership> EndpointCluster::membership(int worker) const {
  const EndpointList& endpoints = slots_[static_cast<size_t>(worker)].endpoints;
  Membership membership{endpoints.size(), 0};
  for (const EndpointPtr& endpoint : endpoints)
    membership.usable += endpoint->stats().health.health() == Health::kUnhealthy ? 0 : 1;
  return membership;
}

void EndpointCluster::Update(std::vector<Endpoint::Settings> hosts) {
  EndpointList next;
  for (Endpoint::Settings& host : hosts) {
    const auto kept = std::find_if(current_.begin(), current_.end(),
                                   [&](const EndpointPtr& e) { return Same(e->settings(), host); });
    if (kept != current_.end()) {
      (*kept)->stats().health.Set(HostHealth::kPendingDynamicRemoval, false);
      next.push_back(*kept);
      continue;
    }
    next.push_back(MakeEndpoint(std::move(host)));
  }
  KeepHealthy(next);
  if (next == current_) return stats().update_no_rebuild.Add();
  stats().membership_change.Add();
  SetCurrent(std::move(next));
  Publish(nullptr, config().common_lb_config().close_connections_on_host_set_change());
}

EndpointPtr EndpointCluster::MakeEndpoint(Endpoint::Settings host) {
  const std::string key = Cat(host.hostname, "|", host.addresses.front().ToString());
  const std::shared_ptr<HostStats> stats = StatsFor(key);
  host.zone_answers = AnswersOf(host.zone);
  SetConfiguredHealth(stats->health, host.configured_health);
  if (stats->health.healthy_since() == TimePoint()) {
    stats->health.set_healthy_since(Now());
    if (health_checker() != nullptr && !host.health_check.disabled)
      health_checker()->Prepare(*stats);
  }
  return std::make_shared<Endpoint>(std::move(host), stats, workers());
}

// What is named no more but passes its health checks stays until it fails one.
void EndpointCluster::KeepHealthy(EndpointList& next) const {
  if (health_checker() == nullptr || !keeps_healthy() || config().ignore_health_on_host_removal())
    return;
  for (const EndpointPtr& endpoint : current_) {
    if (std::find_if(next.begin(), next.end(), [&](const EndpointPtr& e) {
          return &e->stats() == &endpoint->stats();
        }) != next.end()) {
      continue;
    }
    HostHealth& health = endpoint->stats().health;
    if (endpoint->settings().health_check.disabled || health.Has(HostHealth::kFailedActiveHc))
      continue;
    health.Set(HostHealth::kPendingDynamicRemoval, true);
    next.push_back(endpoint);
  }
}

void EndpointCluster::SetCurrent(EndpointList next) {
  current_ = std::move(next);
  if (health_checker() == nullptr) return;
  std::vector<HealthTarget> targets;
  for (const EndpointPtr& endpoint : current_) {
    if (!endpoint->settings().health_check.disabled) targets.push_back(TargetOf(*endpoint));
  }
  health_checker()->SetTargets(std::move(targets));
}

EndpointCluster::Sets EndpointCluster::MakeSets() {
  Sets sets;
  if (subset_settings_.has_value()) {
    sets.subsets =
        std::make_shared<const SubsetTable>(current_, *subset_settings_, options_, *balancer_);
    sets.subsets->CountChanges(subsets_.get(), stats());
    subsets_ = sets.subsets;
  }
  // The whole cluster last: what policies publish about their tables is about it.
  sets.all = std::make_shared<const EndpointSet>(current_, options_, *balancer_);
  return sets;
}

void EndpointCluster::SetState(Slot& slot, const Sets& sets, int worker, Rng& rng) {
  slot.state = sets.all->NewState(worker, rng);
  slot.set = sets.all;
  slot.ahead.clear();
  if (sets.subsets == nullptr) return;
  slot.subset_states = sets.subsets->NewState(worker, rng);
  slot.subsets = sets.subsets;
}

void EndpointCluster::Publish(EndpointPtr failed, bool drop_all) {
  const Sets sets = MakeSets();
  if (workers_ == nullptr) {  // Before the workers run.
    Rng rng(static_cast<uint64_t>(Now().time_since_epoch().count()));
    for (Slot& slot : slots_) {
      slot.endpoints = current_;
      SetState(slot, sets, static_cast<int>(&slot - slots_.data()), rng);
    }
    return;
  }
  for (const auto& worker : *workers_) {
    worker->Post([this, endpoints = current_, sets, failed, drop_all, worker = worker.get()] {
      if (drop_all) DropPools(worker->index());
      Replace(slots_[worker->index()], endpoints, sets, *worker);
      if (failed != nullptr)
        DropPool(*failed, worker->index(), config().close_connections_on_host_health_failure());
    });
  }
}

void EndpointCluster::OnRuntimeChanged() {
  const double before = options_.panic_percent;
  options_ = OptionsOf(config(), panic_percent_.Get());
  if (options_.panic_percent != before) Publish(nullptr);
}

void EndpointCluster::OnHealthChanged(const HostStats& host) {
  const auto changed = std::find_if(current_.begin(), current_.end(),
                                    [&](const EndpointPtr& e) { return &e->stats() == &host; });
  if (changed == current_.end()) return;
  const bool failed = host.health.health() == Health::kUnhealthy;
  const EndpointPtr endpoint = *changed;
  if (host.health.Has(HostHealth::kPendingDynamicRemoval) &&
      host.health.Has(HostHealth::kFailedActiveHc)) {
    EndpointList next = current_;
    next.erase(std::find(next.begin(), next.end(), endpoint));
    stats().membership_change.Add();
    SetCurrent(std::move(next));
  }
  Publish(failed ? endpoint : nullptr);
}

void EndpointCluster::Replace(Slot& slot, const EndpointList& endpoints, const Sets& sets,
                              Worker& worker) {
  const EndpointList old = std::exchange(slot.endpoints, endpoints);
  SetState(slot, sets, worker.index(), worker.rng());
  const absl::flat_hash_set<EndpointPtr> kept(endpoints.begin(), endpoints.end());
  for (const EndpointPtr& endpoint : old) {
    if (!kept.contains(endpoint)) DropPool(*endpoint, worker.index());
  }
}

void EndpointCluster::DropPools(int worker) const {
  for (const EndpointPtr& endpoint : slots_[worker].endpoints) DropPool(*endpoint, worker);
}

std::vector<Cluster::HostView> EndpointCluster::Hosts() const {
  std::vector<HostView> views;
  for (const EndpointPtr& endpoint : current_) {
    views.push_back({endpoint->address().ToString(), endpoint->hostname(), endpoint->shared_stats(),
                     endpoint->settings()});
  }
  return views;
}

DnsCluster::DnsCluster(ClusterSettings settings, const envoy::config::cluster::v3::Cluster& config,
                       const stats::Scope& scope, const Dialer& dialer, size_t workers,
                       std::unique_ptr<const Balancer> balancer, std::vector<Name> names,
                       bool logical, Resolver& resolver, Worker& main)
    : EndpointCluster(std::move(settings), config, scope, dialer, workers, std::move(balancer)),
      logical_(logical),
      unanswered_(names.size()) {
  for (size_t i = 0; i < names.size(); ++i) {
    names[i].lookup.empty_is_failure = logical;  // A logical host keeps the address that it has.
    auto tracker =
        std::make_unique<DnsTracker>(names[i].lookup, resolver, main,
                                     [this, i](const DnsAnswer& answer) { OnAnswer(i, answer); });
    names_.push_back({std::move(names[i]), std::move(tracker), {}, false});
  }
}

void DnsCluster::Start(const std::vector<std::unique_ptr<Worker>>& workers) {
  EndpointCluster::Start(workers);
  for (Tracked& tracked : names_) tracked.tracker->Start();
}

void DnsCluster::Stop() {
  for (Tracked& tracked : names_) tracked.tracker = nullptr;
}

void DnsCluster::OnAnswer(size_t index, const DnsAnswer& answer) {
  Tracked& tracked = names_[index];
  stats().update_attempt.Add();
  if (!std::exchange(tracked.answered, true)) --unanswered_;
  if (answer.outcome != DnsAnswer::Outcome::kCompleted || (logical_ && !answer.has_addresses()))
    return stats().update_failure.Add();
  stats().update_success.Add();
  tracked.addresses.clear();
  for (const AddressWithTtl& found : answer.addresses)
    tracked.addresses.push_back(found.address.WithPort(tracked.name.port));

  std::vector<Endpoint::Settings> hosts;
  for (const Tracked& each : names_) {
    Endpoint::Settings host = each.name.host;
    if (logical_ && !each.addresses.empty()) {
      host.addresses = each.addresses;
      hosts.push_back(host);
    }
    for (size_t i = 0; !logical_ && i < each.addresses.size(); ++i) {
      host.addresses = {each.addresses[i]};
      hosts.push_back(host);
    }
  }
  Update(std::move(hosts));
}

}  // namespace sluice
