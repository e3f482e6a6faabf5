// See circuit_breakers.h.
#include "source/server/clusters/circuit_breakers.h"

namespace sluice {
namespace {

using Proto = envoy::config::cluster::v3::CircuitBreakers::Thresholds;

Thresholds ThresholdsOf(const Proto& config) {
  Thresholds result;
  if (config.has_max_connections()) result.max_connections = config.max_connections().value();
  if (config.has_max_pending_requests())
    result.max_pending_requests = config.max_pending_requests().value();
  if (config.has_max_requests()) result.max_requests = config.max_requests().value();
  if (config.has_max_retries()) result.max_retries = config.max_retries().value();
  result.track_remaining = config.track_remaining();
  if (config.has_retry_budget()) {
    RetryBudget& budget = result.retry_budget.emplace();
    if (config.retry_budget().has_budget_percent())
      budget.percent = config.retry_budget().budget_percent().value();
    if (config.retry_budget().has_min_retry_concurrency())
      budget.minimum = config.retry_budget().min_retry_concurrency().value();
  }
  return result;
}

void ReadPerHost(ClusterFactoryContext& context) {
  const auto& all = context.config.circuit_breakers().per_host_thresholds();
  for (int i = 0; i < all.size(); ++i) {
    const Proto& thresholds = all[i];
    if (thresholds.has_max_pending_requests() || thresholds.has_max_requests() ||
        thresholds.has_max_retries() || thresholds.has_retry_budget() ||
        thresholds.track_remaining()) {
      context.Error(
          Cat("circuit_breakers.per_host_thresholds[", i, "]"),
          "Unsupported per_host_thresholds: only max_connections can be limited per host");
      continue;
    }
    auto& limit = context.settings.max_connections_per_host[thresholds.priority()];
    if (!limit.has_value() && thresholds.has_max_connections())
      limit = thresholds.max_connections().value();
  }
}

}  // namespace

void ReadCircuitBreakers(ClusterFactoryContext& context) {
  // The first entry of a priority counts.
  const auto& all = context.config.circuit_breakers().thresholds();
  for (int i = all.size(); i-- > 0;)
    context.settings.thresholds[all[i].priority()] = ThresholdsOf(all[i]);
  ReadPerHost(context);
}

}  // namespace sluice
