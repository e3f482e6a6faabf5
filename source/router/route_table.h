// RouteTable: a route configuration compiled for lookup: the host finds the virtual host, the first
// route that matches wins. Built on the main thread, then immutable and shared by all workers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/any.pb.h>

#include "absl/status/statusor.h"
#include "api/envoy/config/route/v3/route.pb.h"
#include "source/config/diagnostics.h"
#include "source/config/runtime.h"
#include "source/router/domain_table.h"
#include "source/router/route.h"
#include "source/router/route_matcher.h"

namespace sluice {

/// What the table needs to know of its surroundings while it is built.
struct RouteBuildContext {
  config::Diagnostics& diagnostics;
  std::string path;  // of the RouteConfiguration: "static_resources.listeners[0]...route_config"

  struct ChainFilter {
    std::string name;       // as configured: the key of typed_per_filter_config
    bool disabled = false;  // HttpFilter.disabled
  };
  std::vector<ChainFilter> chain;  // in the order of FilterChain::entries

  /// Turns the per-route message of the chain's filter `index` into what Next::RouteConfig()
  /// returns.
  std::function<absl::StatusOr<std::shared_ptr<const void>>(
      size_t index, const google::protobuf::Any& config, std::string_view path)>
      make_filter_config;
  /// Whether there is a cluster of that name; empty: do not check.
  std::function<bool(std::string_view name)> cluster_exists;
  config::Runtime* runtime = nullptr;  // null: fields with a runtime key keep their defaults
};

class RouteTable {
 public:
  /// Reports every problem to context.diagnostics by its path. Null when there was one.
  static std::shared_ptr<const RouteTable> Build(
      const envoy::config::route::v3::RouteConfiguration& config, const RouteBuildContext& context);

  /// The route of a request, with its weighted cluster already drawn; null when none matches. `rng`
  /// is the worker's. Allocates nothing unless a header matcher meets several fields of one name.
  /// Lives as long as the table.
  const Route* Select(const RequestHead& head, Rng& rng) const;

  const std::string& name() const { return name_; }
  /// The names of all virtual hosts, for /config_dump and tests.
  std::vector<std::string> VirtualHosts() const;

 private:
  friend class RouteTableBuilder;
  struct Entry {
    RouteMatcher matcher;
    std::vector<Route> choices;     // one, or one for each weighted cluster
    std::vector<uint64_t> weights;  // running sums; empty for one choice
  };
  struct VirtualHost {
    std::string name;
    std::vector<Entry> entries;
  };

  RouteTable() = default;

  std::string name_;
  DomainTable domains_;
  std::vector<VirtualHost> hosts_;
  std::vector<std::shared_ptr<const void>> filter_configs_;  // keeps what the routes point at
};

}  // namespace sluice
