// See filter.h. Worker threads, but for what is built.
#include "extensions/filters/http/egress_guard/filter.h"

namespace sluice {

Task<Response> EgressGuardFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const EgressGuard* route = next.RouteConfig<EgressGuard>();
  exchange.egress_guard = route != nullptr ? route : guard_.get();
  return next(std::move(request));
}

void RegisterEgressGuardFilter(Registry& registry) {
  const auto build =
      [](const EgressGuard::Proto& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const EgressGuard>> {
    if (context.server.egress == nullptr)
      return absl::FailedPreconditionError("there is no process to guard here");
    return EgressGuard::Build(config, context.server.egress->own(), context.path,
                              context.server.diagnostics);
  };
  registry.AddHttpFilter<EgressGuard::Proto, EgressGuard::Proto>(
      "sluice.filters.http.egress_guard", Posture::kRobustToUntrustedBoth,
      [build](const EgressGuard::Proto& config,
              FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        auto guard = build(config, context);
        if (!guard.ok()) return guard.status();
        return std::make_unique<EgressGuardFilter>(*std::move(guard));
      },
      build);
}

}  // namespace sluice
