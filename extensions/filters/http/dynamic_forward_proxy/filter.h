// envoy.filters.http.dynamic_forward_proxy: decides which host a request on a route to a dynamic
// cluster goes to. Immutable; shared by all workers.
#pragma once

#include <optional>

#include "source/extension/registry.h"

namespace sluice {

/// PerRouteConfig: the host comes from here instead of the request's own authority.
struct HostRewrite {
  std::string literal;
  std::string header;  // in lower case
};

class DynamicForwardProxyFilter final : public Filter {
 public:
  /// `init_timeout`: how long to wait for a sub cluster.
  DynamicForwardProxyFilter(const ClusterManager& clusters, bool save_upstream_address,
                            std::optional<Duration> init_timeout)
      : clusters_(clusters),
        save_upstream_address_(save_upstream_address),
        init_timeout_(init_timeout) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  Task<Response> ResolveFirst(Request request, Exchange& exchange, Next next,
                              const Cluster& cluster) const;

  const ClusterManager& clusters_;
  Task<Response> WaitForSubCluster(Request request, Exchange& exchange, Next next,
                                   const Cluster& cluster) const;

  const bool save_upstream_address_;
  const std::optional<Duration> init_timeout_;  // not set: no sub clusters
};

void RegisterDynamicForwardProxyFilter(Registry& registry);

}  // namespace sluice
