// SubsetTable: the endpoints of a cluster divided by their metadata (Cluster.LbSubsetConfig), with
// an EndpointSet for each part. Immutable; made on the main thread whenever hosts or their health
// change, searched by the workers.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "source/base/strings.h"
#include "source/upstream/cluster_stats.h"
#include "source/upstream/endpoint_set.h"
#include "source/upstream/metadata_criteria.h"

namespace sluice {

/// What happens where no subset is as a request wants it.
enum class SubsetFallback : uint8_t { kNotDefined, kNone, kAny, kDefault, kKeys };

struct SubsetSettings {
  using Proto = envoy::config::cluster::v3::Cluster::LbSubsetConfig;

  struct Selector {
    std::set<std::string> keys;
    SubsetFallback fallback = SubsetFallback::kNotDefined;
    std::set<std::string> fallback_keys;  // of kKeys
  };

  /// InvalidArgument for what makes no sense.
  static absl::StatusOr<SubsetSettings> Build(const Proto& config);

  SubsetFallback fallback = SubsetFallback::kNone;
  google::protobuf::Struct default_subset;
  std::vector<Selector> selectors;
  bool list_as_any = false;  // a host with a list is in the subset of each element
};

class SubsetTable {
 public:
  SubsetTable(const EndpointList& endpoints, const SubsetSettings& settings,
              const EndpointSetOptions& options, const Balancer& balancer);

  /// A worker's state for one table.
  using State = std::vector<PickState>;
  State NewState(int worker, Rng& rng) const;

  /// Where a request is served: `set` and the index of its state; no set: by the whole cluster
  /// (`any`) or by nobody. `is_fallback`: by the cluster's fallback policy.
  struct Found {
    const EndpointSet* set = nullptr;
    size_t index = 0;
    bool any = false;
    bool is_fallback = false;
  };
  /// Worker. `criteria` may be null.
  Found Find(const MetadataCriteria* criteria) const;

  /// Main thread: counts the subsets that came and went since `before`, which may be null.
  void CountChanges(const SubsetTable* before, const ClusterStats& stats) const;

 private:
  using Subsets = StringMap<size_t>;
  void Divide(const EndpointList& endpoints, const SubsetSettings::Selector& selector,
              StringMap<EndpointList>& parts) const;
  size_t Add(const EndpointList& members, const EndpointSetOptions& options,
             const Balancer& balancer);
  Found Fallback(SubsetFallback policy, bool of_cluster) const;
  const SubsetSettings::Selector* SelectorOf(const CanonicalFields& fields) const;

  const SubsetSettings& settings_;
  std::vector<std::unique_ptr<const EndpointSet>> sets_;
  Subsets by_text_;                // by MetadataCriteria::text()
  std::optional<size_t> default_;  // none: nobody is in it
};

}  // namespace sluice
