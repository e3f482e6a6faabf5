// Health check (envoy.filters.http.health_check): answers the health checks of load balancers in
// front of the proxy. Immutable but for the status that it remembers; shared by all workers.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "api/envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"
#include "source/observe/match/match.h"

namespace sluice {

/// http.<prefix>.health_check.*
struct HealthCheckStats {
  explicit HealthCheckStats(const stats::Scope& scope);

  Counter request_total, ok, failed, degraded, cached_response;
  // Of those that failed since a cluster did not suffice.
  Counter failed_cluster_not_found, failed_cluster_empty, failed_cluster_unhealthy;
};

class HealthCheckFilter final : public Filter {
 public:
  using Proto = envoy::extensions::filters::http::health_check::v3::HealthCheck;

  /// Problems are reported at and below context.path.
  HealthCheckFilter(const Proto& config, FactoryContext& context);

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  bool IsCheck(const RequestHead& head) const;
  Response Fail(Exchange& exchange, std::string_view details) const;
  /// Why the clusters do not suffice, as details of the answer, and counted; empty: they do.
  std::string_view WeakCluster(const Worker& worker) const;
  /// What a check is answered here; nullopt: the upstream is to say.
  std::optional<Response> OwnAnswer(bool healthy, Exchange& exchange) const;
  Task<Response> AskUpstream(Request request, Next next) const;

  const HealthCheckStats stats_;
  const std::atomic<bool>* const healthy_;  // of the process; null: always
  struct Minimum {
    std::string cluster;
    double percent;
  };

  const std::string service_cluster_;
  const ClusterManager& clusters_;
  std::vector<Minimum> minima_;
  std::vector<HeaderMatcher> headers_;
  const bool pass_through_;
  const Duration cache_time_;
  struct LastAnswer {
    int status = 0;  // zero: none yet
    bool degraded = false;
  };
  // What the upstream said last, and until when it holds: two facts that need not agree to the
  // millisecond.
  mutable std::atomic<LastAnswer> last_answer_{LastAnswer()};
  mutable std::atomic<int64_t> good_until_{0};  // in ticks of the steady clock
};

/// Makes the filter known.
void RegisterHealthCheck(Registry& registry);

}  // namespace sluice
