// ClusterManager: the clusters of the process by name. Filled on the main thread; the workers read
// a map that was published to them.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "source/async/snapshot.h"
#include "source/upstream/cluster.h"

namespace sluice {

using ClusterMap = StringMap<ClusterPtr>;

class ClusterManager {
 public:
  ClusterManager(size_t workers, const stats::Scope& scope);

  /// Main thread, while a configuration is loaded. InvalidArgument `cluster manager: duplicate
  /// cluster 'x'`.
  absl::Status Add(ClusterPtr cluster);
  /// Main thread, while a configuration is loaded: a cluster of this name could not be built. Who
  /// names it has made no mistake of its own.
  void AddRefused(std::string name) { refused_.insert(std::move(name)); }
  bool IsRefused(const std::string& name) const { return refused_.contains(name); }

  /// Main thread, once, before the workers run: publishes the map and starts the clusters.
  void Start(const std::vector<std::unique_ptr<Worker>>& workers);
  /// Main thread: true when every cluster is.
  bool ready() const;

  /// Worker: the cluster of that name; null when there is none. Valid until the worker's exchange
  /// ends.
  const Cluster* Find(std::string_view name, const Worker& worker) const;
  /// Main thread.
  const ClusterMap& clusters() const { return *map_; }
  bool Has(std::string_view name) const { return map_->contains(name); }
  /// In the order of the configuration.
  const std::vector<ClusterPtr>& ordered() const { return ordered_; }

  /// Main thread: a cluster that another one has made; it has no place in the workers' map, no
  /// route leads to it, but the admin shows it and its gauges.
  void Show(ClusterPtr cluster);
  void Hide(const Cluster& cluster);

  /// Main thread: a value of the runtime may have changed.
  void OnRuntimeChanged();

  /// Main thread: brings the gauges that are computed when somebody looks up to date.
  void RefreshGauges() const;
  /// Worker: closes all its upstream connections that are idle, before it ends.
  void DropPools(int worker) const;

 private:
  std::shared_ptr<ClusterMap> map_ = std::make_shared<ClusterMap>();
  std::vector<ClusterPtr> ordered_;
  std::set<std::string> refused_;
  Published<ClusterMap> published_;
  Counter added_, removed_;
  Gauge active_, warming_;
};

}  // namespace sluice
