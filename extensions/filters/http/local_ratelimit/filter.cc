// The local rate limit filter. Worker threads, but for what is built.
#include "extensions/filters/http/local_ratelimit/filter.h"

#include "source/http/reply.h"

namespace sluice {
namespace {

namespace common = envoy::extensions::common::ratelimit::v3;

constexpr std::string_view kRefused = "local_rate_limited";

// A decimal number of a response head.
void AddNumber(Headers& headers, std::string_view name, uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  headers.Set(name, std::string_view(digits, static_cast<size_t>(end - digits)));
}

std::unique_ptr<Limiter> SharedLimiter(const LocalRateLimit::Proto& config,
                                       const LimiterSettings& settings, size_t workers) {
  if (config.local_rate_limit_per_downstream_connection()) return nullptr;
  return std::make_unique<Limiter>(settings, workers, Now());
}

int StatusOf(const LocalRateLimit::Proto& config) {
  const int status = config.status().code();
  return status >= 400 ? status : 429;
}

}  // namespace

LocalRateLimitStats::LocalRateLimitStats(const stats::Scope& scope)
    : enabled(scope.counter("enabled")),
      ok(scope.counter("ok")),
      rate_limited(scope.counter("rate_limited")),
      enforced(scope.counter("enforced")),
      shadow_mode(scope.counter("shadow_mode")) {}

LocalRateLimit::LocalRateLimit(const Proto& config, FactoryContext& context)
    : stats_(context.server.stats.Root()
                 .Sub(config.stat_prefix(), stats::tag::kLocalHttpRateLimitPrefix)
                 .Sub("http_local_rate_limit")),
      settings_(LimiterSettings::Build(config, context.path, context.server.diagnostics)),
      limiter_(SharedLimiter(config, settings_, context.server.workers)),
      enabled_(config.filter_enabled(), context.server.runtime),
      enforced_(config.filter_enforced(), context.server.runtime),
      when_not_enforced_(HeaderEdits::Build(
          config.request_headers_to_add_when_not_enforced(), {}, context.path,
          "request_headers_to_add_when_not_enforced", "", context.server.diagnostics)),
      when_refused_(HeaderEdits::Build(config.response_headers_to_add(), {}, context.path,
                                       "response_headers_to_add", "", context.server.diagnostics)),
      own_limits_(RateLimits::Build(config.rate_limits(), context.path + ".rate_limits",
                                    context.server.service_cluster, context.server.diagnostics)),
      stage_(config.stage()),
      status_(StatusOf(config)),
      virtual_host_limits_(config.vh_rate_limits()),
      limit_headers_(config.enable_x_ratelimit_headers() == common::DRAFT_VERSION_03),
      retry_after_(config.enable_retry_after_header()) {}

// The filter's own limits, or those of the route and, as they say, of its virtual host.
void LocalRateLimit::Describe(RequestHead& head, const Exchange& exchange,
                              RateLimitDescriptors* out) const {
  if (!own_limits_.empty()) return own_limits_.Describe(stage_, head, exchange, out);
  if (exchange.route() == nullptr) return;
  const RouteRateLimits* limits = exchange.route()->rate_limits.get();
  if (limits == nullptr) return;
  limits->route.Describe(stage_, head, exchange, out);
  const bool with_host = limits->include_virtual_host || virtual_host_limits_ == common::INCLUDE ||
                         (virtual_host_limits_ == common::OVERRIDE && limits->route.empty());
  if (with_host) limits->virtual_host->Describe(stage_, head, exchange, out);
}

Limiter::Verdict LocalRateLimit::Ask(RequestHead& head, Exchange& exchange) const {
  RateLimitDescriptors descriptors;
  if (!settings_.descriptors.empty()) Describe(head, exchange, &descriptors);
  const TimePoint now = Now();
  const bool explain = limit_headers_ || retry_after_;
  if (limiter_ != nullptr) {
    const auto worker = static_cast<size_t>(exchange.worker().index());
    return limiter_->Ask(descriptors, worker, now, explain);
  }
  Limiter& limiter = exchange.connection().state.Of<Limiter>(
      this, [&] { return std::make_shared<Limiter>(settings_, 1, now); });
  return limiter.Ask(descriptors, 0, now, explain);
}

Task<Response> LocalRateLimit::Handle(Request request, Exchange& exchange, Next next) const {
  Rng& rng = exchange.worker().rng();
  if (!enabled_.Draw(rng)) return next(std::move(request));
  stats_.enabled.Add();
  const Limiter::Verdict verdict = Ask(*request.head, exchange);
  if (verdict.shadowed) stats_.shadow_mode.Add();
  if (verdict.allowed && !verdict.shadowed) {
    stats_.ok.Add();
  } else {
    stats_.rate_limited.Add();
  }
  if (!verdict.allowed) {
    if (enforced_.Draw(rng)) {
      stats_.enforced.Add();
      return Answered(Refuse(verdict, exchange));
    }
    when_not_enforced_.Apply(request.head->headers, exchange);
  }
  if (!limit_headers_ || verdict.limit == 0) return next(std::move(request));
  return PassOn(verdict, std::move(request), next);
}

Response LocalRateLimit::Refuse(const Limiter::Verdict& verdict, Exchange& exchange) const {
  exchange.Note(ResponseFlag::kRateLimited);
  Response response = Refusal(exchange, status_, kRefused, kRefused);
  when_refused_.Apply(*response.head, exchange);
  if (retry_after_) AddNumber(response.head->headers, "retry-after", verdict.seconds_to_next);
  AddLimitHeaders(verdict, response.head->headers);
  return response;
}

void LocalRateLimit::AddLimitHeaders(const Limiter::Verdict& verdict, Headers& headers) const {
  if (!limit_headers_ || verdict.limit == 0) return;
  AddNumber(headers, "x-ratelimit-limit", verdict.limit);
  AddNumber(headers, "x-ratelimit-remaining", verdict.remaining);
  AddNumber(headers, "x-ratelimit-reset", verdict.seconds_to_next);
}

Task<Response> LocalRateLimit::PassOn(Limiter::Verdict verdict, Request request, Next next) const {
  Response response = co_await next(std::move(request));
  AddLimitHeaders(verdict, response.head->headers);
  co_return response;
}

Task<Response> LocalRateLimitFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const LocalRateLimit* route = next.RouteConfig<LocalRateLimit>();
  return (route != nullptr ? *route : *own_).Handle(std::move(request), exchange, next);
}

void RegisterLocalRateLimit(Registry& registry) {
  using Proto = LocalRateLimit::Proto;
  registry.AddHttpFilter<Proto, Proto>(
      "envoy.filters.http.local_ratelimit", Posture::kRobustToUntrustedBoth,
      [](const Proto& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        return std::make_unique<LocalRateLimitFilter>(
            std::make_unique<const LocalRateLimit>(config, context));
      },
      [](const Proto& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const LocalRateLimit>> {
        if (!config.has_token_bucket())
          return Invalid("local rate limit token bucket must be set for per filter configs");
        return std::make_shared<const LocalRateLimit>(config, context);
      });
}

}  // namespace sluice
