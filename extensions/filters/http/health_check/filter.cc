// The health check filter. Worker threads, but for what is built.
#include "extensions/filters/http/health_check/filter.h"

#include <algorithm>

#include "source/config/durations.h"
#include "source/http/reply.h"
#include "source/upstream/cluster_manager.h"

namespace sluice {
namespace {

constexpr std::string_view kFailing = "x-envoy-immediate-health-check-fail";
constexpr std::string_view kChecked = "x-envoy-upstream-healthchecked-cluster";
constexpr std::string_view kDegraded = "x-envoy-degraded";

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
      degraded(scope.counter("degraded")),
      cached_response(scope.counter("cached_response")),
      failed_cluster_not_found(scope.counter("failed_cluster_not_found")),
      failed_cluster_empty(scope.counter("failed_cluster_empty")),
      failed_cluster_unhealthy(scope.counter("failed_cluster_unhealthy")) {}

HealthCheckFilter::HealthCheckFilter(const Proto& config, FactoryContext& context)
    : stats_(context.scope.Sub("health_check")),
      healthy_(context.server.healthy),
      service_cluster_(context.server.service_cluster),
      clusters_(context.server.clusters),
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
  for (const auto& [name, percent] : config.cluster_min_healthy_percentages()) {
    minima_.push_back({name, percent.value()});
    const std::string field = Cat("cluster_min_healthy_percentages['", name, "']");
    if (pass_through_) context.Error(field, "has no meaning with pass_through_mode");
    const auto found = clusters_.clusters().find(name);
    if (found != clusters_.clusters().end() && !found->second->membership(0).has_value())
      context.Error(field, "the hosts of this cluster come with the requests: none are counted");
  }
  std::sort(minima_.begin(), minima_.end(),
            [](const Minimum& a, const Minimum& b) { return a.cluster < b.cluster; });
}

bool HealthCheckFilter::IsCheck(const RequestHead& head) const {
  return std::all_of(headers_.begin(), headers_.end(),
                     [&head](const HeaderMatcher& one) { return one.Matches(head); });
}

std::string_view HealthCheckFilter::WeakCluster(const Worker& worker) const {
  for (const Minimum& minimum : minima_) {
    const Cluster* cluster = clusters_.Find(minimum.cluster, worker);
    if (cluster == nullptr) {
      stats_.failed_cluster_not_found.Add();
      return "health_check_failed_no_cluster_found";
    }
    const auto hosts = cluster->membership(worker.index()).value_or(Cluster::Membership());
    if (minimum.percent <= 0) continue;
    if (hosts.total == 0) {
      stats_.failed_cluster_empty.Add();
      return "health_check_failed_cluster_empty";
    }
    if (100.0 * static_cast<double>(hosts.usable) <
        minimum.percent * static_cast<double>(hosts.total)) {
      stats_.failed_cluster_unhealthy.Add();
      return "health_check_failed_cluster_unhealthy";
    }
  }
  return {};
}

Response HealthCheckFilter::Fail(Exchange& exchange, std::string_view details) const {
  stats_.failed.Add();
  exchange.Note(ResponseFlag::kFailedLocalHealthCheck);
  Response response = Refusal(exchange, 503, "", details);
  // Weak clusters are no wish to be left alone.
  if (details == "health_check_failed")
    response.head->headers.Add(HeaderId::kOther, kFailing, "true");
  return response;
}

std::optional<Response> HealthCheckFilter::OwnAnswer(bool healthy, Exchange& exchange) const {
  if (!healthy) return Fail(exchange, "health_check_failed");
  if (!pass_through_) {
    const std::string_view weak = WeakCluster(exchange.worker());
    if (!weak.empty()) return Fail(exchange, weak);
    stats_.ok.Add();
    return Refusal(exchange, 200, "",
                   minima_.empty() ? "health_check_ok" : "health_check_ok_cluster_healthy");
  }
  if (cache_time_ <= Duration::zero()) return std::nullopt;
  const int64_t now = Now().time_since_epoch().count();
  const LastAnswer last = last_answer_.load(std::memory_order_relaxed);
  if (last.status == 0 || now >= good_until_.load(std::memory_order_relaxed)) return std::nullopt;
  stats_.cached_response.Add();
  (last.status == 200 ? stats_.ok : stats_.failed).Add();
  if (last.status != 200) exchange.Note(ResponseFlag::kFailedLocalHealthCheck);
  Response response = Refusal(exchange, last.status, "", "health_check_cached");
  if (last.degraded) {
    stats_.degraded.Add();
    response.head->headers.Add(HeaderId::kOther, kDegraded, "");
  }
  return response;
}

Task<Response> HealthCheckFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const bool healthy = healthy_ == nullptr || healthy_->load(std::memory_order_relaxed);
  if (!IsCheck(*request.head))
    return healthy ? next(std::move(request)) : PassOnAsFailing(std::move(request), next);
  exchange.health_check = true;
  std::optional<Response> answer = OwnAnswer(healthy, exchange);
  if (!answer.has_value()) return AskUpstream(std::move(request), next);
  stats_.request_total.Add();
  answer->head->headers.Add(HeaderId::kOther, kChecked, service_cluster_);
  return Answered(*std::move(answer));
}

Task<Response> HealthCheckFilter::AskUpstream(Request request, Next next) const {
  Response response = co_await next(std::move(request));
  response.head->headers.Set(kChecked, service_cluster_);
  if (cache_time_ > Duration::zero()) {
    good_until_.store((Now() + cache_time_).time_since_epoch().count(), std::memory_order_relaxed);
    last_answer_.store({.status = response.head->status,
                        .degraded = response.head->headers.Get(kDegraded).has_value()},
                       std::memory_order_relaxed);
  }
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
