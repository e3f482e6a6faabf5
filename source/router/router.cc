// The router. Worker threads only, but for its construction.
#include "source/router/router.h"

#include <charconv>

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/http/reply.h"
#include "source/router/terminate.h"
#include "source/router/upstream_request.h"

namespace sluice {
namespace {

Task<Response> Immediately(Response response) {
  co_return response;
}

Priority PriorityOf(const Route& route) {
  return route.high_priority ? Priority::kHigh : Priority::kDefault;
}

// True for what is no exchange of messages but a stream of bytes, on which the route's timeout has
// no bearing.
bool WantsTunnel(const Route& route, const RequestHead& head) {
  return head.is_connect() || !head.upgrade.empty() || EndsTunnel(route, head);
}

Task<absl::StatusOr<Response>> SendOnce(Request& request, Exchange& exchange, const Route& route,
                                        const Cluster& cluster) {
  const SendOptions options{
      .priority = PriorityOf(route),
      .auto_host_rewrite = route.auto_host,
      .append_x_forwarded_host = route.auto_host && route.append_x_forwarded_host};
  if (EndsTunnel(route, *request.head))
    return TerminateTunnel(request, exchange, route, cluster, options);
  return cluster.Send(request, exchange, options);
}

// After an interruption: what it means, unless the exchange itself has ended meanwhile.
absl::Status Interrupted(Exchange& exchange, Reason reason) {
  return MakeError(exchange.canceller().cancelled() ? Reason::kCancelled : reason);
}

void EditResponse(const Route& route, Response& response, Exchange& exchange) {
  for (const auto& edits : route.response_edits) edits->Apply(*response.head, exchange);
}

void CountAnswer(const Cluster& cluster, int status, const Exchange& exchange) {
  const ClusterStats& stats = cluster.stats();
  stats.upstream_rq_completed.Add();
  stats.codes.Count(status);
  const RequestHead* head = exchange.request_head();
  const bool internal = head != nullptr && head->headers.Get(HeaderId::kXEnvoyInternal) == "true";
  (internal ? stats.internal_codes : stats.external_codes).Count(status);
}

void SetServiceTime(Headers& headers, const Exchange& exchange, TimePoint start) {
  const Duration taken =
      exchange.time.upstream_first_received - std::max(start, exchange.time.request_received);
  char text[24];
  const char* end =
      std::to_chars(text, text + sizeof(text), std::max<int64_t>(Milliseconds(taken), 0)).ptr;
  headers.SetSafe(HeaderId::kXEnvoyUpstreamServiceTime,
                  headers.arena().Copy({text, static_cast<size_t>(end - text)}));
}

}  // namespace

RouterStats::RouterStats(const stats::Scope& scope){
#define SLUICE_INIT(kind, name) name = scope.counter(#name);
    SLUICE_ROUTER_STATS(SLUICE_INIT)
#undef SLUICE_INIT
}

Router::Router(RouterSettings settings, const stats::Scope& scope)
    : settings_(std::move(settings)), stats_(scope) {
}

Task<Response> Router::Handle(Request request, Exchange& exchange, Next) const {
  stats_.rq_total.Add();
  const auto* route = static_cast<const Route*>(exchange.route());
  if (route == nullptr) {
    stats_.no_route.Add();
    exchange.Note(ResponseFlag::kNoRouteFound);
    exchange.set_details("route_not_found");
    return Immediately(Reply(404));
  }
  if (route->action != Route::Action::kForward)
    return Immediately(AnswerLocally(*route, *request.head, exchange));
  const Cluster* cluster =
      settings_.find_cluster(route->ClusterFor(*request.head), exchange.worker());
  if (cluster == nullptr) {
    stats_.no_cluster.Add();
    exchange.Note(ResponseFlag::kNoClusterFound);
    exchange.set_details("cluster_not_found");
    Response response = Reply(route->cluster_not_found_status);
    EditResponse(*route, response, exchange);
    return Immediately(std::move(response));
  }
  exchange.upstream.cluster_name = cluster->name();
  const RequestWishes wishes = TakeWishes(*request.head);
  const Duration timeout = WantsTunnel(*route, *request.head)
                               ? Duration::zero()
                               : wishes.timeout.value_or(route->timeout);
  PrepareRequest(*route, timeout, settings_.suppress_envoy_headers, *request.head, exchange);
  if (route->retry == nullptr && !wishes.wants_retries() && !wishes.per_try_timeout.has_value()) {
    return Forward(std::move(request), exchange, *route, *cluster, timeout);
  }
  return ForwardWithRetries(std::move(request), exchange, *route, *cluster, timeout,
                            WithWishes(route->retry.get(), wishes));
}

Response Router::AnswerLocally(const Route& route, RequestHead& head, Exchange& exchange) const {
  exchange.set_details("direct_response");
  Response response;
  if (route.action == Route::Action::kRedirect) {
    stats_.rq_redirect.Add();
    response = Reply(route.redirect->status);
    response.head->headers.AddCopy(
        HeaderId::kLocation, RedirectLocation(*route.redirect, head, route.MatchedLength(head)));
  } else {
    stats_.rq_direct_response.Add();
    response = Reply(route.direct->status);
    if (!route.direct->body.empty()) {
      response.head->headers.Add(HeaderId::kContentType, "text/plain");
      response.body = StaticBody(route.direct->body);  // The exchange keeps the route.
      exchange.set_local_reply_body(route.direct->body);
    }
  }
  EditResponse(route, response, exchange);
  return response;
}

Task<Response> Router::Forward(Request request, Exchange& exchange, const Route& route,
                               const Cluster& cluster, Duration timeout) const {
  const TimePoint start = Now();
  auto body = std::make_unique<RoutedBody>(exchange, cluster, stats_, start);
  body->timer().Start(timeout, request.body == nullptr);
  exchange.upstream.attempts = 1;
  auto outcome = co_await SendOnce(request, exchange, route, cluster);
  if (body->timer().fired()) {
    co_await exchange.canceller().Recover();
    outcome = Interrupted(exchange, Reason::kUpstreamTimeout);
  }
  co_return Finish(std::move(outcome), std::move(body), route, cluster, exchange, start);
}

Task<Response> Router::ForwardWithRetries(Request request, Exchange& exchange, const Route& route,
                                          const Cluster& cluster, Duration timeout,
                                          RetryPolicy policy) const {
  const TimePoint start = Now();
  const bool no_body = request.body == nullptr;
  auto body = std::make_unique<RoutedBody>(exchange, cluster, stats_, start);
  body->timer().Start(timeout, no_body);
  std::shared_ptr<RequestRecording> recording;
  if (!no_body)
    recording = std::make_shared<RequestRecording>(std::move(request.body),
                                                   cluster.settings().buffer_limit);
  BreakerUnit unit;
  exchange.upstream.attempts = 0;
  while (true) {
    const uint32_t attempt = ++exchange.upstream.attempts;
    if (route.request_attempt_count && attempt > 1)
      request.head->headers.Set(HeaderId::kXEnvoyAttemptCount, Cat(attempt));
    if (recording != nullptr) request.body = recording->Play();
    absl::StatusOr<Response> outcome = absl::UnknownError("");
    {
      RequestTimer per_try(exchange);
      per_try.Start(policy.per_try_timeout, no_body);
      outcome = co_await SendOnce(request, exchange, route, cluster);
      const bool too_late = body->timer().fired();
      if (too_late || per_try.fired()) {
        co_await exchange.canceller().Recover();
        outcome =
            Interrupted(exchange, too_late ? Reason::kUpstreamTimeout : Reason::kPerTryTimeout);
      }
    }
    if (!WillRetry(policy, outcome, recording.get(), route, cluster, exchange, &unit)) {
      co_return Finish(std::move(outcome), std::move(body), route, cluster, exchange, start);
    }
    outcome =
        absl::UnknownError("");  // Lets the answer that is not wanted, and its connection, go.
    const bool waited = co_await Sleep(RetryBackOff(policy, attempt, exchange.worker().rng()));
    if (waited && !body->timer().fired()) continue;
    outcome = MakeError(Reason::kCancelled);
    if (body->timer().fired()) {
      co_await exchange.canceller().Recover();
      outcome = Interrupted(exchange, Reason::kUpstreamTimeout);
    }
    co_return Finish(std::move(outcome), std::move(body), route, cluster, exchange, start);
  }
}

bool Router::WillRetry(const RetryPolicy& policy, const absl::StatusOr<Response>& outcome,
                       const RequestRecording* recording, const Route& route,
                       const Cluster& cluster, Exchange& exchange, BreakerUnit* unit) const {
  const ClusterStats& stats = cluster.stats();
  const uint32_t attempts = exchange.upstream.attempts;
  if (!outcome.ok() && ReasonOf(outcome.status()) == Reason::kPerTryTimeout)
    stats.upstream_rq_per_try_timeout.Add();
  const bool retriable = outcome.ok() ? IsRetriable(policy, outcome->head->status)
                                      : IsRetriable(policy, outcome.status());
  if (!retriable) {
    if (attempts > 1 && outcome.ok()) stats.upstream_rq_retry_success.Add();
    return false;
  }
  if (attempts > policy.max_retries) {
    stats.upstream_rq_retry_limit_exceeded.Add();
    exchange.Note(ResponseFlag::kUpstreamRetryLimitExceeded);
    return false;
  }
  if (recording != nullptr && !recording->CanPlay()) {
    stats_.rq_retry_skipped_request_not_complete.Add();
    return false;
  }
  *unit = BreakerUnit();  // The retry before has ended.
  *unit = BreakerUnit::Try(cluster.breaker(PriorityOf(route)), Resource::kRetries,
                           exchange.worker().index());
  if (!*unit) {
    stats.upstream_rq_retry_overflow.Add();
    return false;
  }
  stats.upstream_rq_retry.Add();
  stats.upstream_rq_retry_backoff_exponential.Add();
  stats.retry_codes.Count(outcome.ok() ? outcome->head->status
                                       : MeaningOf(ReasonOf(outcome.status())).status);
  return true;
}

Response Router::Finish(absl::StatusOr<Response> outcome, std::unique_ptr<RoutedBody> body,
                        const Route& route, const Cluster& cluster, Exchange& exchange,
                        TimePoint start) const {
  if (!outcome.ok()) return Fail(outcome.status(), route, cluster, exchange);
  Response response = *std::move(outcome);
  CountAnswer(cluster, response.head->status, exchange);
  exchange.set_details("via_upstream");
  const bool ours = route.terminates_connect && response.tunnel != nullptr;
  if (!settings_.suppress_envoy_headers && !ours)
    SetServiceTime(response.head->headers, exchange, start);
  EditResponse(route, response, exchange);
  if (response.tunnel != nullptr) return response;
  if (response.body == nullptr) {
    RecordTime(exchange, cluster, start);
    return response;
  }
  body->Carry(std::move(response.body));
  response.body = std::move(body);
  return response;
}

Response Router::Fail(const absl::Status& error, const Route& route, const Cluster& cluster,
                      Exchange& exchange) const {
  const Reason reason = ReasonOf(error);
  if (reason == Reason::kUpstreamTimeout) cluster.stats().upstream_rq_timeout.Add();
  Response response = ErrorReply(error, exchange);
  if (MeaningOf(reason).status != 0) CountAnswer(cluster, response.head->status, exchange);
  EditResponse(route, response, exchange);
  return response;
}

}  // namespace sluice
