// See cluster_manager.h.
#include "source/upstream/cluster_manager.h"

#include <algorithm>

namespace sluice {

ClusterManager::ClusterManager(size_t workers, const stats::Scope& scope)
    : published_(workers),
      added_(scope.counter("cluster_added")),
      removed_(scope.counter("cluster_removed")),
      active_(scope.gauge("active_clusters")),
      warming_(scope.gauge("warming_clusters")) {
  // They stand at zero: clusters do not change, and changes of their hosts are not merged.
  for (const std::string_view name : {"cluster_modified", "cluster_updated_via_merge",
                                      "update_merge_cancelled", "update_out_of_merge_window"})
    scope.counter(name);
}

absl::Status ClusterManager::Add(ClusterPtr cluster) {
  if (Has(cluster->name()))
    return Invalid("cluster manager: duplicate cluster '", cluster->name(), "'");
  ordered_.push_back(cluster);
  map_->emplace(cluster->name(), std::move(cluster));
  added_.Add();
  return absl::OkStatus();
}

void ClusterManager::Show(ClusterPtr cluster) {
  ordered_.push_back(std::move(cluster));
  added_.Add();
}

void ClusterManager::Hide(const Cluster& cluster) {
  std::erase_if(ordered_, [&](const ClusterPtr& other) { return other.get() == &cluster; });
  removed_.Add();
}

void ClusterManager::Start(const std::vector<std::unique_ptr<Worker>>& workers) {
  published_.Initialize(map_);
  for (const ClusterPtr& cluster : ordered_) {
    cluster->StartHealth();
    cluster->Start(workers);
  }
}

bool ClusterManager::ready() const {
  return std::all_of(ordered_.begin(), ordered_.end(), [](const ClusterPtr& cluster) {
    const auto& config = cluster->config();
    return cluster->ready() ||
           (config.has_wait_for_warm_on_init() && !config.wait_for_warm_on_init().value());
  });
}

const Cluster* ClusterManager::Find(std::string_view name, const Worker& worker) const {
  const ClusterMap& map = *published_.Get(worker);
  const auto found = map.find(name);
  return found == map.end() ? nullptr : found->second.get();
}

void ClusterManager::OnRuntimeChanged() {
  for (const ClusterPtr& cluster : ordered_) cluster->OnRuntimeChanged();
}

void ClusterManager::RefreshGauges() const {
  const auto ready = std::count_if(ordered_.begin(), ordered_.end(),
                                   [](const ClusterPtr& cluster) { return cluster->ready(); });
  active_.Set(static_cast<int64_t>(ordered_.size()));
  warming_.Set(static_cast<int64_t>(ordered_.size()) - ready);
  for (const ClusterPtr& cluster : ordered_) cluster->RefreshGauges();
}

void ClusterManager::DropPools(int worker) const {
  for (const ClusterPtr& cluster : ordered_) cluster->DropPools(worker);
}

}  // namespace sluice
