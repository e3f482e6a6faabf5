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
  std::vector<ChainFilter> chain = {};            // in the order of HttpFilterChain::entries
  std::vector<std::string> refused_filters = {};  // of the chain, but they could not be built

  /// Turns the per-route message of the chain's filter `index` into what Next::RouteConfig()
  /// returns.
  std::function<absl::StatusOr<std::shared_ptr<const void>>(
      size_t index, const google::protobuf::Any& config, std::string_view path)>
      make_filter_config = {};
  const stats::Scope* stats = nullptr;  // the root, for vhost.*; null: a table without figures
  /// Whether there is a cluster of that name; empty: do not check.
  std::function<bool(std::string_view name)> cluster_exists = {};
  /// The configuration of the cluster of that name, null when there is none; empty: nobody knows.
  std::function<const envoy::config::cluster::v3::Cluster*(std::string_view name)> cluster_config =
      {};
  config::Runtime* runtime = nullptr;  // null: fields with a runtime key keep their defaults
  std::string own_cluster = {};        // of the proxy's node
};

class RouteTable {
 public:
  /// Reports every problem to context.diagnostics by its path. Null when there was one.
  static std::shared_ptr<const RouteTable> Build(
      const envoy::config::route::v3::RouteConfiguration& config, const RouteBuildContext& context);

  /// The route of a request, with its weighted cluster already drawn; null when none matches.
  /// `head` is the exchange's, or is about to be. Allocates nothing unless a header matcher meets
  /// several fields of one name. Lives as long as the table.
  const Route* Select(const RequestHead& head, Exchange& exchange) const;

  const std::string& name() const { return name_; }
  /// internal_only_headers, in lower case.
  const std::vector<std::string>& internal_only_headers() const { return internal_headers_; }
  /// The names of all virtual hosts, for /config_dump and tests.
  std::vector<std::string> VirtualHosts() const;

 private:
  friend class RouteTableBuilder;
  struct Entry {
    RouteMatcher matcher;
    std::vector<Route> choices;                  // one, or one for each weighted cluster
    std::vector<config::RuntimeUInt32> weights;  // of the choices; empty for one
    std::string weight_header;     // not empty: holds the number that chooses, not chance
    bool weights_by_hash = false;  // the hash policies' hash chooses
    const Route& Choose(const RequestHead& head, Exchange& exchange, RequestRandom& random) const;
  };
  struct VirtualHost {
    enum class Tls : uint8_t { kNone, kExternal, kAll };
    std::string name;
    Tls require_tls = Tls::kNone;
    Route to_https;  // for what comes in clear where it must not
    std::vector<Entry> entries;
  };

  RouteTable() = default;

  std::string name_;
  std::string host_header_;  // vhost_header, in lower case; empty: the authority
  bool ignore_path_parameters_ = false;
  std::vector<std::string> internal_headers_;
  DomainTable domains_;
  std::vector<VirtualHost> hosts_;
  std::vector<std::shared_ptr<const void>> filter_configs_;  // keeps what the routes point at
};

}  // namespace sluice
