// CORS (envoy.filters.http.cors): answers preflight requests of browsers, and says on responses
// which origins may read them. Immutable, shared by all workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "source/config/runtime.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"
#include "source/observe/match/match.h"

namespace sluice {

/// The CorsPolicy of a route or virtual host.
struct CorsPolicy {
  std::vector<StringMatcher> origins;
  std::string methods, headers, exposed, max_age;  // empty: not said
  bool credentials = false;
  bool private_network = false;
  bool forward_others = true;  // preflights from other origins
  config::RuntimeFraction enabled, shadow;

  /// Reports problems at and below context.path.
  static CorsPolicy Build(const envoy::extensions::filters::http::cors::v3::CorsPolicy& config,
                          FactoryContext& context);
  bool Allows(std::string_view origin) const;
};

class CorsFilter final : public Filter {
 public:
  explicit CorsFilter(const stats::Scope& scope)
      : valid_(scope.counter("origin_valid")), invalid_(scope.counter("origin_invalid")) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  static Response AnswerPreflight(const CorsPolicy& policy, const RequestHead& head,
                                  std::string_view origin, Exchange& exchange);
  static Task<Response> Mark(const CorsPolicy& policy, std::string_view origin, Request request,
                             Next next);

  const Counter valid_, invalid_;
};

/// Makes the filter known.
void RegisterCors(Registry& registry);

}  // namespace sluice
