// Lists of endpoints: published from the main thread, picked from on the workers.
#include "source/upstream/endpoint_cluster.h"

#include <algorithm>

#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"

namespace sluice {
namespace {

bool Same(const Endpoint::Settings& a, const Endpoint::Settings& b) {
  return a.hostname == b.hostname && a.addresses == b.addresses && a.weight == b.weight &&
         a.healthy == b.healthy;
}

}  // namespace

EndpointCluster::EndpointCluster(ClusterSettings settings,
                                 const envoy::config::cluster::v3::Cluster& config,
                                 const stats::Scope& scope, const Dialer& dialer, size_t workers,
                                 std::unique_ptr<const Balancer> balancer)
    : Cluster(std::move(settings), config, scope, dialer, workers),
      balancer_(std::move(balancer)),
      slots_(workers) {
  for (Slot& slot : slots_) slot.state.cursor = static_cast<uint64_t>(&slot - slots_.data());
}

EndpointCluster::~EndpointCluster() = default;

Task<absl::StatusOr<EndpointPtr>> EndpointCluster::Pick(const SendOptions& options,
                                                        Exchange& exchange) const {
  Slot& slot = slots_[exchange.worker().index()];
  EndpointPtr endpoint =
      balancer_->Pick(slot.endpoints, options.hash, slot.state, exchange.worker().rng());
  if (endpoint == nullptr) co_return MakeError(Reason::kNoHealthyUpstream);
  co_return endpoint;
}

void EndpointCluster::Update(std::vector<Endpoint::Settings> hosts) {
  EndpointList next;
  for (Endpoint::Settings& host : hosts) {
    const auto kept = std::find_if(current_.begin(), current_.end(),
                                   [&](const EndpointPtr& e) { return Same(e->settings(), host); });
    if (kept != current_.end()) {
      next.push_back(*kept);
      continue;
    }
    const std::string key = Cat(host.hostname, "|", host.addresses.front().ToString());
    next.push_back(std::make_shared<Endpoint>(std::move(host), StatsFor(key), workers()));
  }
  if (next == current_) return stats().update_no_rebuild.Add();
  stats().membership_change.Add();
  current_ = next;
  EndpointList healthy;
  std::copy_if(next.begin(), next.end(), std::back_inserter(healthy),
               [](const EndpointPtr& e) { return e->settings().healthy; });
  if (workers_ == nullptr) {  // Before the workers run.
    for (Slot& slot : slots_) slot.endpoints = healthy;
    return;
  }
  for (const auto& worker : *workers_) {
    worker->Post(
        [this, healthy, index = worker->index()] { Replace(slots_[index], healthy, index); });
  }
}

void EndpointCluster::Replace(Slot& slot, const EndpointList& endpoints, int worker) {
  const EndpointList old = std::exchange(slot.endpoints, endpoints);
  for (const EndpointPtr& endpoint : old) {
    if (std::find(endpoints.begin(), endpoints.end(), endpoint) == endpoints.end())
      endpoint->DropPool(worker);
  }
}

void EndpointCluster::DropPools(int worker) const {
  for (const EndpointPtr& endpoint : slots_[worker].endpoints) endpoint->DropPool(worker);
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
  if (answer.outcome != DnsAnswer::Outcome::kCompleted) return stats().update_failure.Add();
  stats().update_success.Add();
  if (!answer.has_addresses()) {
    stats().update_empty.Add();
    if (logical_) return;  // A logical host keeps the address that it has.
  }
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
