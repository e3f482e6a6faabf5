// Counting connections. Worker threads; what is built from the configuration, main thread.
#include "extensions/filters/network/connection_limit/filter.h"

#include "api/envoy/extensions/filters/network/connection_limit/v3/connection_limit.pb.h"
#include "source/config/durations.h"

namespace sluice {

ConnectionLimit::ConnectionLimit(uint64_t limit, Duration delay, config::RuntimeFlag enabled,
                                 const stats::Scope& scope)
    : limit_(limit),
      delay_(delay),
      enabled_(std::move(enabled)),
      limited_connections_(scope.counter("limited_connections")),
      active_connections_(scope.gauge("active_connections")) {}

Task<> ConnectionLimit::Handle(Connection& connection, NetworkNext next) const {
  if (used_.fetch_add(1, std::memory_order_relaxed) < limit_ || !enabled_.Get()) {
    active_connections_.Add();
    co_await next(connection);
    active_connections_.Sub();
    used_.fetch_sub(1, std::memory_order_relaxed);
    co_return;
  }
  // What waits here for its end does not count: the limit is for those that are served.
  used_.fetch_sub(1, std::memory_order_relaxed);
  limited_connections_.Add();
  if (delay_ > Duration::zero()) co_await Sleep(delay_);
  next.Refuse(connection, {.local_close_reason = "over_connection_limit"});
}

namespace {

using Proto = envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit;

absl::StatusOr<NetworkFilterPtr> Create(const Proto& config, FactoryContext& context) {
  if (!config.has_max_connections()) return Invalid("max_connections must be set");
  return std::make_unique<ConnectionLimit>(
      config.max_connections().value(), config::ToDuration(config.delay()),
      config.has_runtime_enabled()
          ? config::RuntimeFlag(config.runtime_enabled(), context.server.runtime)
          : config::RuntimeFlag(nullptr, "", true),
      context.server.stats.Root()
          .Sub("connection_limit")
          .Sub(config.stat_prefix(), stats::tag::kConnectionLimitPrefix));
}

}  // namespace

void RegisterConnectionLimit(Registry& registry) {
  registry.AddNetworkFilter<Proto>("envoy.filters.network.connection_limit",
                                   Posture::kRobustToUntrustedDownstream, Create);
}

}  // namespace sluice
