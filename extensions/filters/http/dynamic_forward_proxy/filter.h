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
  /// `egress`: what marks requests and knows those that come back; null: nothing does.
  /// `init_timeout`: how long to wait for a sub cluster.
  DynamicForwardProxyFilter(const ClusterManager& clusters, const Egress* egress,
                            bool save_upstream_address, std::optional<Duration> init_timeout)
      : clusters_(clusters),
        egress_(egress),
        save_upstream_address_(save_upstream_address),
        init_timeout_(init_timeout) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  bool IsLoop(RequestHead& head, const Exchange& exchange) const;
  Task<Response> ResolveFirst(Request request, Exchange& exchange, Next next,
                              const Cluster& cluster) const;

  Task<Response> WaitForSubCluster(Request request, Exchange& exchange, Next next,
                                   const Cluster& cluster) const;

  const ClusterManager& clusters_;
  const Egress* const egress_;
  const bool save_upstream_address_;
  const std::optional<Duration> init_timeout_;  // not set: no sub clusters
};

/// Makes the filter known.
void RegisterDynamicForwardProxyFilter(Registry& registry);

}  // namespace sluice
