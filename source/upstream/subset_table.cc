// Dividing endpoints and finding their subsets. See subset_table.h for the threads.
#include "source/upstream/subset_table.h"

#include <algorithm>

#include "source/base/reason.h"
#include "source/upstream/retry_hosts.h"

namespace sluice {
namespace {

using google::protobuf::Value;
using Proto = SubsetSettings::Proto;

SubsetFallback FallbackOf(Proto::LbSubsetFallbackPolicy policy) {
  switch (policy) {
    case Proto::ANY_ENDPOINT:
      return SubsetFallback::kAny;
    case Proto::DEFAULT_SUBSET:
      return SubsetFallback::kDefault;
    default:
      return SubsetFallback::kNone;
  }
}

SubsetFallback FallbackOf(Proto::LbSubsetSelector::LbSubsetSelectorFallbackPolicy policy) {
  switch (policy) {
    case Proto::LbSubsetSelector::NO_FALLBACK:
      return SubsetFallback::kNone;
    case Proto::LbSubsetSelector::ANY_ENDPOINT:
      return SubsetFallback::kAny;
    case Proto::LbSubsetSelector::DEFAULT_SUBSET:
      return SubsetFallback::kDefault;
    case Proto::LbSubsetSelector::KEYS_SUBSET:
      return SubsetFallback::kKeys;
    default:
      return SubsetFallback::kNotDefined;
  }
}

// The texts of a value: one, or one for each element of a list.
std::vector<std::string> TextsOf(const Value& value, bool list_as_any) {
  if (!list_as_any || !value.has_list_value()) return {CanonicalText(value)};
  std::vector<std::string> texts;
  for (const Value& element : value.list_value().values()) texts.push_back(CanonicalText(element));
  return texts;
}

}  // namespace

absl::StatusOr<SubsetSettings> SubsetSettings::Build(const Proto& config) {
  SubsetSettings settings;
  settings.fallback = FallbackOf(config.fallback_policy());
  settings.default_subset = config.default_subset();
  settings.list_as_any = config.list_as_any();
  for (int i = 0; i < config.subset_selectors_size(); ++i) {
    const auto& from = config.subset_selectors(i);
    Selector selector;
    selector.keys.insert(from.keys().begin(), from.keys().end());
    selector.fallback = FallbackOf(from.fallback_policy());
    selector.fallback_keys.insert(from.fallback_keys_subset().begin(),
                                  from.fallback_keys_subset().end());
    if (selector.keys.empty()) return Invalid("subset_selectors[", i, "] has no keys");
    const bool by_keys = selector.fallback == SubsetFallback::kKeys;
    if (by_keys == selector.fallback_keys.empty())
      return Invalid("subset_selectors[", i,
                     "]: fallback_keys_subset goes with KEYS_SUBSET, and only with it");
    // Fewer keys than before: the search comes to an end.
    if (!std::includes(selector.keys.begin(), selector.keys.end(), selector.fallback_keys.begin(),
                       selector.fallback_keys.end()) ||
        selector.fallback_keys.size() == selector.keys.size())
      return Invalid("subset_selectors[", i, "]: fallback_keys_subset must be a part of keys");
    const bool known =
        std::any_of(settings.selectors.begin(), settings.selectors.end(),
                    [&](const Selector& other) { return other.keys == selector.keys; });
    if (known) return Invalid("subset_selectors[", i, "] has the keys of an earlier one");
    settings.selectors.push_back(std::move(selector));
  }
  return settings;
}

SubsetTable::SubsetTable(const EndpointList& endpoints, const SubsetSettings& settings,
                         const EndpointSetOptions& options, const Balancer& balancer)
    : settings_(settings) {
  StringMap<EndpointList> parts;
  for (const SubsetSettings::Selector& selector : settings.selectors)
    Divide(endpoints, selector, parts);
  for (const auto& [text, members] : parts) by_text_[text] = Add(members, options, balancer);
  EndpointList members;
  for (const EndpointPtr& endpoint : endpoints) {
    const auto& metadata = endpoint->settings().metadata;
    static const google::protobuf::Struct kNothing;
    if (HasAll(metadata == nullptr ? kNothing : *metadata, settings.default_subset,
               settings.list_as_any))
      members.push_back(endpoint);
  }
  if (!members.empty()) default_ = Add(members, options, balancer);
}

size_t SubsetTable::Add(const EndpointList& members, const EndpointSetOptions& options,
                        const Balancer& balancer) {
  sets_.push_back(std::make_unique<const EndpointSet>(members, options, balancer));
  return sets_.size() - 1;
}

// Adds the endpoints that have all keys of the selector to their parts.
void SubsetTable::Divide(const EndpointList& endpoints, const SubsetSettings::Selector& selector,
                         StringMap<EndpointList>& parts) const {
  for (const EndpointPtr& endpoint : endpoints) {
    const auto& metadata = endpoint->settings().metadata;
    if (metadata == nullptr) continue;
    std::vector<CanonicalFields> all(1);
    for (const std::string& key : selector.keys) {
      const auto found = metadata->fields().find(key);
      std::vector<CanonicalFields> more;
      if (found != metadata->fields().end()) {
        for (const std::string& text : TextsOf(found->second, settings_.list_as_any)) {
          for (CanonicalFields fields : all) {
            fields[key] = text;
            more.push_back(std::move(fields));
          }
        }
      }
      all = std::move(more);
    }
    for (const CanonicalFields& fields : all) {
      EndpointList& part = parts[CanonicalText(fields)];
      // A list may name a value twice.
      if (part.empty() || part.back() != endpoint) part.push_back(endpoint);
    }
  }
}

SubsetTable::State SubsetTable::NewState(int worker, Rng& rng) const {
  State state;
  for (const auto& set : sets_) state.push_back(set->NewState(worker, rng));
  return state;
}

const SubsetSettings::Selector* SubsetTable::SelectorOf(const CanonicalFields& fields) const {
  for (const SubsetSettings::Selector& selector : settings_.selectors) {
    if (std::equal(selector.keys.begin(), selector.keys.end(), fields.begin(), fields.end(),
                   [](const std::string& key, const auto& field) { return key == field.first; }))
      return &selector;
  }
  return nullptr;
}

SubsetTable::Found SubsetTable::Fallback(SubsetFallback policy, bool of_cluster) const {
  Found found{.is_fallback = of_cluster};
  if (policy == SubsetFallback::kAny) found.any = true;
  if (policy == SubsetFallback::kDefault && default_.has_value()) {
    found.set = sets_[*default_].get();
    found.index = *default_;
  }
  return found;
}

SubsetTable::Found SubsetTable::Find(const MetadataCriteria* criteria) const {
  std::optional<MetadataCriteria> reduced;
  while (criteria != nullptr) {
    if (const auto it = by_text_.find(criteria->text()); it != by_text_.end())
      return {.set = sets_[it->second].get(), .index = it->second};
    const SubsetSettings::Selector* selector = SelectorOf(criteria->fields());
    if (selector == nullptr || selector->fallback == SubsetFallback::kNotDefined) break;
    if (selector->fallback != SubsetFallback::kKeys) return Fallback(selector->fallback, false);
    CanonicalFields fewer;
    for (const auto& [key, text] : criteria->fields())
      if (selector->fallback_keys.contains(key)) fewer.emplace(key, text);
    criteria = &reduced.emplace(std::move(fewer));
  }
  return Fallback(settings_.fallback, true);
}

void SubsetTable::CountChanges(const SubsetTable* before, const ClusterStats& stats) const {
  size_t kept = 0;
  for (const auto& [text, index] : by_text_)
    kept += before != nullptr && before->by_text_.contains(text) ? 1 : 0;
  stats.lb_subsets_created.Add(by_text_.size() - kept);
  if (before != nullptr) stats.lb_subsets_removed.Add(before->by_text_.size() - kept);
  stats.lb_subsets_active.Set(static_cast<int64_t>(by_text_.size()));
}

}  // namespace sluice
