// The health check filter. Worker threads, but for what is built.
#include "extensions/filters/http/health_check/filter.h"

#include <algorithm>

#include "source/config/durations.h"
#include "source/http/reply.h"

namespace sluice {
namespace {

constexpr std::string_view kFailing = "x-envoy-immediate-health-check-fail";

// Says to who asks that it should not come again.
Task<Response> PassOnAsFailing(Request request, Next next) {
  Response response = co_await next(std::move(request));
  response.head->headers.Set(kFailing, "true");
  co_return response;
}

}  // namespace

HealthCheckStats::HealthCheckStats(const stats::Scope& scope)
    : request_total(scope.counter("request_total")),
      ok(scope.counter("ok")),
      failed(scope.counter("failed")),
      cached_response(scope.counter("cached_response")) {}

HealthCheckFilter::HealthCheckFilter(const Proto& config, FactoryContext& context)
    : stats_(context.scope.Sub("health_check")),
      healthy_(context.server.healthy),
      pass_through_(config.pass_through_mode().value()),
      cache_time_(config::ToDuration(config.cache_time())) {
  for (int i = 0; i < config.headers_size(); ++i) {
    auto matcher = HeaderMatcher::Build(config.headers(i));
    if (matcher.ok()) {
      headers_.push_back(*std::move(matcher));
    } else {
      context.Error(Cat("headers[", i, "]"), Std(matcher.status().message()));
    }
  }
  if (!pass_through_ && config.has_cache_time())
    context.Error("cache_time", "cache_time_ms must not be set when path_through_mode is disabled");
}

bool HealthCheckFilter::IsCheck(const RequestHead& head) const {
  return std::all_of(headers_.begin(), headers_.end(),
                     [&head](const HeaderMatcher& one) { return one.Matches(head); });
}

Response HealthCheckFilter::Fail(Exchange& exchange) const {
  stats_.failed.Add();
  exchange.Note(ResponseFlag::kFailedLocalHealthCheck);
  Response response = Refusal(exchange, 503, "", "health_check_failed");
  response.head->headers.Add(HeaderId::kOther, kFailing, "true");
  return response;
}

Task<Response> HealthCheckFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const bool healthy = healthy_ == nullptr || healthy_->load(std::memory_order_relaxed);
  if (!IsCheck(*request.head))
    return healthy ? next(std::move(request)) : PassOnAsFailing(std::move(request), next);
  stats_.request_total.Add();
  if (!healthy) return Answered(Fail(exchange));
  if (!pass_through_) {
    stats_.ok.Add();
    return Answered(Refusal(exchange, 200, "", "health_check_ok"));
  }
  if (cache_time_ <= Duration::zero()) return next(std::move(request));
  const int64_t now = Now().time_since_epoch().count();
  const int status = status_.load(std::memory_order_relaxed);
  if (status == 0 || now >= good_until_.load(std::memory_order_relaxed))
    return AskUpstream(std::move(request), next);
  stats_.cached_response.Add();
  (status == 200 ? stats_.ok : stats_.failed).Add();
  if (status != 200) exchange.Note(ResponseFlag::kFailedLocalHealthCheck);
  return Answered(Refusal(exchange, status, "", "health_check_cached"));
}

Task<Response> HealthCheckFilter::AskUpstream(Request request, Next next) const {
  Response response = co_await next(std::move(request));
  good_until_.store((Now() + cache_time_).time_since_epoch().count(), std::memory_order_relaxed);
  status_.store(response.head->status, std::memory_order_relaxed);
  co_return response;
}

void RegisterHealthCheck(Registry& registry) {
  registry.AddHttpFilter<HealthCheckFilter::Proto>(
      "envoy.filters.http.health_check", Posture::kRobustToUntrustedBoth,
      [](const HealthCheckFilter::Proto& config,
         FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        return std::make_unique<HealthCheckFilter>(config, context);
      });
}

}  // namespace sluice
