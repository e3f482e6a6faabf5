// The header mutation filter. Worker threads, but for what is built.
#include "extensions/filters/http/header_mutation/filter.h"

#include "source/base/strings.h"

namespace sluice {
namespace {

namespace v3 = envoy::extensions::filters::http::header_mutation::v3;

// Calls `apply` with the filter's own mutations, then with those of the routes; what comes last
// wins.
template <class Apply>
void ForEachLevel(const HeaderMutations& own, absl::Span<const void* const> routes,
                  bool most_specific_wins, Apply apply) {
  apply(own);
  for (size_t i = 0; i < routes.size(); ++i) {
    apply(*static_cast<const HeaderMutations*>(
        routes[most_specific_wins ? i : routes.size() - 1 - i]));
  }
}

}  // namespace

HeaderMutations HeaderMutations::Build(const v3::Mutations& config, std::string_view path,
                                       config::Diagnostics& diagnostics) {
  return {HeaderEdits::Build(config.request_mutations(), Cat(path, ".mutations.request_mutations"),
                             diagnostics),
          HeaderEdits::Build(config.response_mutations(),
                             Cat(path, ".mutations.response_mutations"), diagnostics)};
}

Task<Response> HeaderMutationFilter::Handle(Request request, Exchange& exchange, Next next) const {
  next.MarkSeen();
  const auto routes = next.RouteConfigs();
  ForEachLevel(own_, routes, most_specific_wins_, [&](const HeaderMutations& level) {
    level.request.Apply(request.head->headers, exchange);
  });
  Response response = co_await next(std::move(request));
  ForEachLevel(own_, routes, most_specific_wins_, [&](const HeaderMutations& level) {
    level.response.Apply(*response.head, exchange);
  });
  co_return response;
}

void HeaderMutationFilter::EditUnseen(ResponseHead& response, Exchange& exchange,
                                      const Next& next) const {
  ForEachLevel(own_, next.RouteConfigs(), most_specific_wins_,
               [&](const HeaderMutations& level) { level.response.Apply(response, exchange); });
}

void RegisterHeaderMutation(Registry& registry) {
  registry.AddHttpFilter<v3::HeaderMutation, v3::HeaderMutationPerRoute>(
      "envoy.filters.http.header_mutation", Posture::kRobustToUntrustedBoth,
      [](const v3::HeaderMutation& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        return std::make_unique<HeaderMutationFilter>(
            HeaderMutations::Build(config.mutations(), context.path, context.server.diagnostics),
            config.most_specific_header_mutations_wins());
      },
      [](const v3::HeaderMutationPerRoute& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const HeaderMutations>> {
        return std::make_shared<const HeaderMutations>(
            HeaderMutations::Build(config.mutations(), context.path, context.server.diagnostics));
      });
}

}  // namespace sluice
