// The CORS filter. Worker threads, but for what is built.
#include "extensions/filters/http/cors/filter.h"

#include <algorithm>

#include "source/http/reply.h"

namespace sluice {
namespace {

namespace v3 = envoy::extensions::filters::http::cors::v3;

constexpr std::string_view kDetails = "cors_response";

void AddOrigin(Headers& headers, const CorsPolicy& policy, std::string_view origin) {
  headers.Set("access-control-allow-origin", origin);
  if (policy.credentials) headers.Set("access-control-allow-credentials", "true");
}

void AddUnlessEmpty(Headers& headers, std::string_view name, std::string_view value) {
  if (!value.empty()) headers.Set(name, value);
}

// As in Envoy no local reply: neither local_reply_config nor the route's edits reach it.
Response PreflightAnswer(Exchange& exchange) {
  exchange.set_details(kDetails);
  Response response = Reply(200);
  response.head->is_local = false;
  return response;
}

}  // namespace

CorsPolicy CorsPolicy::Build(const v3::CorsPolicy& config, FactoryContext& context) {
  CorsPolicy policy;
  for (int i = 0; i < config.allow_origin_string_match_size(); ++i) {
    auto matcher = StringMatcher::Build(config.allow_origin_string_match(i));
    if (matcher.ok()) {
      policy.origins.push_back(*std::move(matcher));
    } else {
      context.Error(Cat("allow_origin_string_match[", i, "]"), Std(matcher.status().message()));
    }
  }
  const auto text = [&context](const std::string& value, std::string_view field) {
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      context.Error(field, "a header value cannot hold CR, LF or NUL");
    return value;
  };
  policy.methods = text(config.allow_methods(), "allow_methods");
  policy.headers = text(config.allow_headers(), "allow_headers");
  policy.exposed = text(config.expose_headers(), "expose_headers");
  policy.max_age = text(config.max_age(), "max_age");
  policy.credentials = config.allow_credentials().value();
  policy.private_network = config.allow_private_network_access().value();
  policy.forward_others = !config.has_forward_not_matching_preflights() ||
                          config.forward_not_matching_preflights().value();
  config::Runtime* const runtime = context.server.runtime;
  policy.enabled = config.has_filter_enabled()
                       ? config::RuntimeFraction(config.filter_enabled(), runtime)
                       : config::RuntimeFraction(nullptr, "", {100, 100});
  policy.shadow = config::RuntimeFraction(config.shadow_enabled(), runtime);
  return policy;
}

bool CorsPolicy::Allows(std::string_view origin) const {
  return std::any_of(origins.begin(), origins.end(),
                     [origin](const StringMatcher& one) { return one.Matches(origin); });
}

Task<Response> CorsFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const CorsPolicy* policy = next.RouteConfig<CorsPolicy>();
  if (policy == nullptr) return next(std::move(request));
  const RequestHead& head = *request.head;
  const std::string_view origin = head.headers.Get(HeaderId::kOrigin).value_or("");
  if (origin.empty()) return next(std::move(request));
  const bool enabled = policy->enabled.Draw(exchange.worker().rng());
  if (!enabled && !policy->shadow.Draw(exchange.worker().rng())) return next(std::move(request));
  const bool valid = policy->Allows(origin);
  (valid ? valid_ : invalid_).Add();
  if (!enabled) return next(std::move(request));
  const bool preflight = head.method == "OPTIONS" &&
                         !head.headers.Get("access-control-request-method").value_or("").empty();
  if (valid)
    return preflight ? Answered(AnswerPreflight(*policy, head, origin, exchange))
                     : Mark(*policy, origin, std::move(request), next);
  if (preflight && !policy->forward_others) return Answered(PreflightAnswer(exchange));
  return next(std::move(request));
}

Response CorsFilter::AnswerPreflight(const CorsPolicy& policy, const RequestHead& head,
                                     std::string_view origin, Exchange& exchange) {
  Response response = PreflightAnswer(exchange);
  Headers& headers = response.head->headers;
  AddOrigin(headers, policy, origin);
  AddUnlessEmpty(headers, "access-control-allow-methods", policy.methods);
  AddUnlessEmpty(headers, "access-control-allow-headers", policy.headers);
  AddUnlessEmpty(headers, "access-control-max-age", policy.max_age);
  if (policy.private_network &&
      head.headers.Get("access-control-request-private-network") == "true")
    headers.Set("access-control-allow-private-network", "true");
  AddUnlessEmpty(headers, "access-control-expose-headers", policy.exposed);
  return response;
}

Task<Response> CorsFilter::Mark(const CorsPolicy& policy, std::string_view origin, Request request,
                                Next next) {
  // A filter behind this one may take the header away; what it said stays in the head's memory.
  Response response = co_await next(std::move(request));
  AddOrigin(response.head->headers, policy, origin);
  AddUnlessEmpty(response.head->headers, "access-control-expose-headers", policy.exposed);
  co_return response;
}

void RegisterCors(Registry& registry) {
  registry.AddHttpFilter<v3::Cors, v3::CorsPolicy>(
      "envoy.filters.http.cors", Posture::kRobustToUntrustedBoth,
      [](const v3::Cors&, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        return std::make_unique<CorsFilter>(context.scope.Sub("cors"));
      },
      [](const v3::CorsPolicy& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const CorsPolicy>> {
        return std::make_shared<const CorsPolicy>(CorsPolicy::Build(config, context));
      });
}

}  // namespace sluice
