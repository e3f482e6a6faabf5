// Compiling typed_per_filter_config. Main thread, while a configuration is loaded.
#include "source/router/filter_levels.h"

#include <algorithm>
#include <map>

#include "source/base/strings.h"

namespace sluice {
namespace {

using envoy::config::route::v3::FilterConfig;
using google::protobuf::Any;

// One entry of the map, without its wrapper.
struct Wish {
  const Any* config = nullptr;  // null: none
  bool disabled = false;
  bool optional = false;
};

std::string_view UnknownFilter(std::string_view name, const RouteBuildContext& context,
                               std::string* message) {
  *message = Cat("no HTTP filter of this connection manager is called ", config::Quoted(name));
  std::vector<std::string_view> names;
  for (const auto& filter : context.chain) names.push_back(filter.name);
  return config::Nearest(name, names);
}

void PlaceWish(const Wish& wish, size_t index, const std::string& path,
               const RouteBuildContext& context, FilterLevel* level) {
  level->places.resize(context.chain.size());
  FilterLevel::Place& place = level->places[index];
  place.enabled = !wish.disabled;
  if (wish.disabled && index + 1 == context.chain.size()) {
    context.diagnostics.Error(path, "the last filter of a chain cannot be disabled");
  }
  if (wish.config == nullptr || wish.disabled) return;
  auto made = context.make_filter_config(index, *wish.config, path);
  if (made.ok()) {
    place.config = *std::move(made);
  } else {
    context.diagnostics.Error(path, Std(made.status().message()));
  }
}

}  // namespace

FilterLevel FilterLevel::Build(const google::protobuf::Map<std::string, Any>& configs,
                               const std::string& path, const RouteBuildContext& context) {
  FilterLevel level;
  // In the order of the names, so that problems are reported in the same order each time.
  const std::map<std::string, const Any*> sorted = [&] {
    std::map<std::string, const Any*> out;
    for (const auto& [name, any] : configs) out.emplace(name, &any);
    return out;
  }();
  for (const auto& [name, any] : sorted) {
    std::string entry = config::EntryPath(config::ChildPath(path, "typed_per_filter_config"), name);
    if (context.diagnostics.IsLeftOut(entry)) continue;
    FilterConfig wrapper;
    Wish wish{.config = any};
    if (any->Is<FilterConfig>()) {
      any->UnpackTo(&wrapper);
      const bool says_something = wrapper.has_config() && !wrapper.config().type_url().empty();
      wish = {says_something ? &wrapper.config() : nullptr, wrapper.disabled(),
              wrapper.is_optional()};
    }
    const std::string inner = wish.config == any ? entry : config::ChildPath(entry, "config");
    bool found = false;
    for (size_t i = 0; i < context.chain.size(); ++i) {
      if (context.chain[i].name != name) continue;
      found = true;
      PlaceWish(wish, i, wish.config == nullptr ? entry : inner, context, &level);
    }
    const auto& refused = context.refused_filters;
    if (found || wish.optional || std::find(refused.begin(), refused.end(), name) != refused.end())
      continue;
    std::string message;
    const std::string_view suggestion = UnknownFilter(name, context, &message);
    context.diagnostics.Error(entry, message, suggestion);
  }
  return level;
}

void ApplyFilterLevels(const std::vector<const FilterLevel*>& levels,
                       const RouteBuildContext& context, Route* route) {
  route->enabled_filters = 0;
  for (size_t i = 0; i < context.chain.size(); ++i) {
    bool enabled = !context.chain[i].disabled;
    for (const FilterLevel* level : levels) {
      if (i >= level->places.size()) continue;
      const FilterLevel::Place& place = level->places[i];
      if (place.enabled.has_value()) enabled = *place.enabled;
      if (place.config == nullptr) continue;
      route->filter_configs.resize(context.chain.size());
      route->filter_configs[i].push_back(place.config.get());
    }
    if (enabled) route->enabled_filters |= uint64_t{1} << i;
  }
}

}  // namespace sluice
