// The router from its configuration. Main thread, while a configuration is loaded.
#include "source/router/router_factory.h"

#include "api/envoy/extensions/filters/http/router/v3/router.pb.h"
#include "source/extension/access_logs.h"
#include "source/router/router.h"
#include "source/upstream/cluster_manager.h"

namespace sluice {

void RegisterRouter(Registry& registry) {
  using Proto = envoy::extensions::filters::http::router::v3::Router;
  registry.AddTerminalHttpFilter<Proto>(
      "envoy.filters.http.router", Posture::kRobustToUntrustedBoth,
      [](const Proto& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        RouterSettings settings;
        settings.find_cluster = [&clusters = context.server.clusters](std::string_view name,
                                                                      const Worker& worker) {
          return clusters.Find(name, worker);
        };
        settings.upstream_logs = BuildAccessLogs(config.upstream_log(), context, "upstream_log");
        settings.overload = context.server.overload;
        settings.use_retry = {context.server.runtime, "upstream.use_retry", 100};
        settings.retry_base_ms = {context.server.runtime, "upstream.base_retry_backoff_ms", 25};
        settings.suppress_envoy_headers = config.suppress_envoy_headers();
        settings.respect_expected_rq_timeout = config.respect_expected_rq_timeout();
        settings.strict_check_headers.assign(config.strict_check_headers().begin(),
                                             config.strict_check_headers().end());
        return std::make_unique<Router>(std::move(settings), context.scope);
      });
}

}  // namespace sluice
