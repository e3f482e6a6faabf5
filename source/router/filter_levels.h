// Filter levels: typed_per_filter_config of one level (route configuration, virtual host, route,
// weighted cluster) by the position of the filters it is for. Main thread, while a configuration is
// loaded.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/map.h>

#include "source/router/route_table.h"

namespace sluice {

/// What one level says about each filter of the chain.
struct FilterLevel {
  struct Place {
    std::shared_ptr<const void> config;  // null: none
    std::optional<bool> enabled;         // nothing said: as the level above
  };
  std::vector<Place> places;  // by position in the chain; empty when the level says nothing at all

  /// Reports names that no filter has, filters without a per-route configuration, and what the
  /// factories refuse, below
  /// `<path>.typed_per_filter_config`.
  static FilterLevel Build(const google::protobuf::Map<std::string, google::protobuf::Any>& configs,
                           const std::string& path, const RouteBuildContext& context);
};

/// Fills route->enabled_filters and route->filter_configs from the levels, least specific first.
void ApplyFilterLevels(const std::vector<const FilterLevel*>& levels,
                       const RouteBuildContext& context, Route* route);

}  // namespace sluice
