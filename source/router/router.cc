// The router. Worker threads only, but for its construction.
#include "source/router/router.h"

#include <algorithm>
#include <charconv>

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/http/reply.h"
#include "source/router/mirror.h"
#include "source/router/terminate.h"
#include "source/router/upstream_request.h"

namespace sluice {
namespace {

// True for what is no exchange of messages but a stream of bytes, on which the route's timeout has
// no bearing. Another protocol (an upgrade) becomes one by its answer, which is waited for.
bool IsTunnel(const Route& route, const RequestHead& head) {
  return head.is_connect() || EndsTunnel(route, head);
}

// After an interruption: what it means, unless the exchange itself has ended meanwhile.
absl::Status Interrupted(Exchange& exchange, Reason reason) {
  return MakeError(exchange.canceller().cancelled() ? Reason::kCancelled : reason);
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

void SetAttemptCount(Headers& headers, const Exchange& exchange) {
  headers.Set(HeaderId::kXEnvoyAttemptCount, Cat(exchange.upstream.attempts));
}

SendOptions OptionsFor(const Route& route, bool suppress_envoy_headers) {
  return {.priority = route.high_priority ? Priority::kHigh : Priority::kDefault,
          .auto_host_rewrite = route.auto_host,
          .append_x_forwarded_host = route.auto_host && route.append_x_forwarded_host,
          .original_host_header = route.auto_host && !suppress_envoy_headers,
          .criteria = route.criteria.get()};
}

// True when an attempt, not the whole request, has run out of time.
bool IsTimeout(const absl::Status& error) {
  const Reason reason = ReasonOf(error);
  return reason == Reason::kPerTryTimeout || reason == Reason::kPerTryIdleTimeout;
}

// How much of a request's body is kept for another attempt.
size_t BodyLimit(const Route& route, const Exchange& exchange) {
  return route.body_limit.value_or(exchange.connection().chain->buffer_limit);
}

// Since the request was there as a whole.
Duration Elapsed(TimePoint start, const Exchange& exchange) {
  return Now() - std::max(start, exchange.time.request_received);
}

int64_t UnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// What the request is counted under beside its cluster.
RequestCounters CountersFor(const Route& route, const RequestHead& head, Exchange& exchange,
                            const AnswerKinds::Alternative* alternative) {
  RequestCounters counters;
  counters.alternative = alternative;
  counters.route = route.stats.get();
  if (route.virtual_clusters != nullptr) {
    const VirtualCluster& found = FindVirtualCluster(*route.virtual_clusters, head);
    exchange.upstream.virtual_cluster = found.name;
    counters.virtual_cluster = found.stats.get();
  }
  return counters;
}

const RetryPolicy kNoRetries;

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
  RequestHead& head = *request.head;
  const auto* route = static_cast<const Route*>(exchange.route());
  if (route == nullptr) {
    stats_.no_route.Add();
    exchange.Note(ResponseFlag::kNoRouteFound);
    exchange.set_details("route_not_found");
    return Answered(Reply(404));
  }
  if (route->action != Route::Action::kForward)
    return Answered(AnswerLocally(*route, head, exchange));
  const Cluster* cluster = settings_.find_cluster(route->ClusterFor(head), exchange.worker());
  if (cluster == nullptr) return Answered(NoCluster(*route, exchange));
  exchange.upstream.cluster_name = cluster->name();
  exchange.upstream.cluster = &cluster->config();
  if (settings_.overload->Applies(OverloadState::kShedRouter, exchange.worker().rng()))
    return Answered(Shed(exchange));
  if (const auto name = UnreadableWish(settings_.strict_check_headers, head); !name.empty())
    return Answered(UnreadableHeader(name, *route, head, exchange));
  const RequestWishes wishes = TakeWishes(head);
  const RequestCounters counters = CountersFor(
      *route, head, exchange,
      wishes.alt_stat_name.empty() ? nullptr
                                   : cluster->stats().kinds.GetAlternative(wishes.alt_stat_name));
  if (const TurnedAway why = cluster->TurnsAway(exchange.worker().rng()); why != TurnedAway::kNot)
    return Answered(TurnAway(why, *cluster, counters, exchange));
  Forwarding forwarding{.exchange = exchange,
                        .route = *route,
                        .cluster = *cluster,
                        .timeouts = TimeoutsOf(*route, wishes, head),
                        .options = OptionsFor(*route, settings_.suppress_envoy_headers),
                        .start = Now(),
                        .counters = counters,
                        .no_content_on_timeout = wishes.no_content_on_timeout,
                        .set_cookies = {}};
  if (route->hash != nullptr && cluster->uses_hash()) {
    const auto hash = route->hash->Hash(head, exchange, &forwarding.set_cookies);
    if (hash.has_value()) forwarding.options.hash = std::max<uint64_t>(*hash, 1);
  }
  forwarding.timeouts.life =
      wishes.stream_duration.value_or(cluster->settings().max_stream_duration);
  ChosenPolicy policy{route->retry != nullptr ? route->retry.get() : &kNoRetries, nullptr};
  const bool attempts = route->retry != nullptr || wishes.changes_policy() ||
                        route->internal_redirects != nullptr ||
                        forwarding.timeouts.life > Duration::zero();
  if (wishes.changes_policy())
    policy.own = std::make_unique<RetryPolicy>(WithWishes(policy.shared, wishes));
  if (attempts) forwarding.may_retry = MayRetry(*policy, head);
  exchange.upstream.attempts = 1;  // Edits of headers may tell of it.
  PrepareRequest(*route, forwarding.timeouts, settings_.suppress_envoy_headers, head, exchange);
  if (route->mirrors != nullptr)
    request.body = SendCopies(*route->mirrors, forwarding.timeouts.global, settings_.find_cluster,
                              head, std::move(request.body), exchange);
  if (!attempts) return Forward(std::move(request), std::move(forwarding));
  return ForwardWithRetries(std::move(request), std::move(forwarding), std::move(policy));
}

RequestTimeouts Router::TimeoutsOf(const Route& route, const RequestWishes& wishes,
                                   const RequestHead& head) const {
  RequestTimeouts timeouts;
  if (route.retry != nullptr) timeouts.per_try = route.retry->per_try_timeout;
  if (wishes.per_try_timeout.has_value()) timeouts.per_try = *wishes.per_try_timeout;
  if (IsTunnel(route, head)) return timeouts;
  timeouts.global = wishes.timeout.value_or(route.timeout);
  if (route.max_grpc_timeout.has_value() && head.is_grpc())
    timeouts.global = GrpcTimeout(route, head);
  if (settings_.respect_expected_rq_timeout) {
    const auto value = head.headers.Get(HeaderId::kXEnvoyExpectedRqTimeoutMs);
    const auto expected = value.has_value() ? ParseDecimal<uint32_t>(*value) : std::nullopt;
    if (expected.has_value()) timeouts.global = std::chrono::milliseconds(*expected);
  }
  if (timeouts.global > Duration::zero() && timeouts.per_try >= timeouts.global)
    timeouts.per_try = Duration::zero();  // It cannot run out first.
  return timeouts;
}

Task<absl::StatusOr<Response>> Router::SendOnce(Request& request, const Forwarding& forwarding) {
  if (EndsTunnel(forwarding.route, *request.head))
    return TerminateTunnel(request, forwarding.exchange, forwarding.route, forwarding.cluster,
                           forwarding.options);
  return forwarding.cluster.Send(request, forwarding.exchange, forwarding.options);
}

Task<Response> Router::Forward(Request request, Forwarding forwarding) const {
  Exchange& exchange = forwarding.exchange;
  auto body = std::make_unique<RoutedBody>(exchange, forwarding.cluster, stats_, forwarding.start);
  body->timer().Start(forwarding.timeouts.global, request.body == nullptr);
  if (!settings_.upstream_logs.empty()) body->BeginLog(settings_.upstream_logs, &request.body);
  auto outcome = co_await SendOnce(request, forwarding);
  forwarding.counters.CountAttempt(outcome.ok(), exchange.time);
  if (body->timer().fired()) {
    exchange.canceller().Recover();
    outcome = Interrupted(exchange, Reason::kUpstreamTimeout);
  }
  body->LogOutcome(outcome);
  co_return Finish(std::move(outcome), std::move(body), forwarding);
}

Task<absl::StatusOr<Response>> Router::Attempt(Request& request, const Forwarding& forwarding,
                                               const RetryPolicy& policy, RoutedBody& body) {
  Exchange& exchange = forwarding.exchange;
  exchange.time.upstream_first_sent = TimePoint{};  // Of this attempt: see WillRetry.
  AttemptLimits& limits = body.NewLimits();
  limits.head.Start(forwarding.timeouts.per_try, request.body == nullptr, true);
  limits.quiet.Start(policy.per_try_idle_timeout);
  limits.life.Start(forwarding.timeouts.life);
  auto outcome = co_await SendOnce(request, forwarding);
  forwarding.counters.CountAttempt(outcome.ok(), exchange.time);
  if (const Reason reason = body.ran_out(); reason != Reason::kUnknown) {
    exchange.canceller().Recover();
    outcome = Interrupted(exchange, reason);
    if (reason != Reason::kUpstreamTimeout) CountTimeout(forwarding.cluster.stats(), reason);
  }
  co_return outcome;
}

Task<Response> Router::ForwardWithRetries(Request request, Forwarding forwarding,
                                          ChosenPolicy chosen) const {
  Exchange& exchange = forwarding.exchange;
  const RetryPolicy& policy = *chosen;
  auto body = std::make_unique<RoutedBody>(exchange, forwarding.cluster, stats_, forwarding.start);
  body->timer().Start(forwarding.timeouts.global, request.body == nullptr);
  std::shared_ptr<RequestRecording> recording;
  if (request.body != nullptr)
    recording = std::make_shared<RequestRecording>(
        std::move(request.body), BodyLimit(forwarding.route, exchange),
        forwarding.cluster.stats().retry_or_shadow_abandoned);
  AttemptedHosts attempted{.avoid = policy.hosts, .hosts = {}};
  if (policy.hosts.heeds_anything()) forwarding.options.attempted = &attempted;
  BreakerUnit unit;
  exchange.upstream.attempts = 0;
  while (true) {
    attempted.retrying = ++exchange.upstream.attempts > 1;
    if (recording != nullptr) request.body = recording->Play();
    if (!settings_.upstream_logs.empty()) body->BeginLog(settings_.upstream_logs, &request.body);
    absl::StatusOr<Response> outcome = co_await Attempt(request, forwarding, policy, *body);
    body->LogOutcome(outcome);
    const auto wait = WillRetry(policy, outcome, recording.get(), forwarding, &unit);
    if (!wait.has_value()) {
      if (outcome.ok() && forwarding.route.internal_redirects != nullptr &&
          Redirects(*outcome->head, recording, forwarding, *request.head))
        exchange.set_details("internal_redirect");
      co_return Finish(std::move(outcome), std::move(body), forwarding);
    }
    const bool after_timeout = IsTimeout(outcome.status());
    // Lets the answer that is not wanted, and its connection, go.
    outcome = absl::UnknownError("");
    body->DropLimits();
    body->EndLog();
    const bool waited = co_await Sleep(*wait);
    if (!waited || body->timer().fired()) {
      outcome = MakeError(Reason::kCancelled);
      if (body->timer().fired()) {
        exchange.canceller().Recover();
        outcome = Interrupted(exchange, Reason::kUpstreamTimeout);
      }
      co_return Finish(std::move(outcome), std::move(body), forwarding);
    }
    PrepareRetry(forwarding.route, forwarding.timeouts, Elapsed(forwarding.start, exchange),
                 after_timeout, settings_.suppress_envoy_headers, exchange.upstream.attempts + 1,
                 *request.head);
  }
}

std::optional<Duration> Router::WillRetry(const RetryPolicy& policy,
                                          const absl::StatusOr<Response>& outcome,
                                          const RequestRecording* recording,
                                          const Forwarding& forwarding, BreakerUnit* unit) const {
  Exchange& exchange = forwarding.exchange;
  const ClusterStats& stats = forwarding.cluster.stats();
  const uint32_t attempts = exchange.upstream.attempts;
  const bool sent = exchange.time.upstream_first_sent != TimePoint{};
  const bool retriable =
      forwarding.may_retry && (outcome.ok() ? IsRetriable(policy, *outcome->head)
                                            : IsRetriable(policy, outcome.status(), sent));
  if (!retriable) {
    if (attempts > 1 && outcome.ok()) {
      stats.upstream_rq_retry_success.Add();
      forwarding.counters.Count(&RequestStats::upstream_rq_retry_success);
    }
    return std::nullopt;
  }
  if (attempts > policy.max_retries) {
    stats.upstream_rq_retry_limit_exceeded.Add();
    forwarding.counters.Count(&RequestStats::upstream_rq_retry_limit_exceeded);
    exchange.Note(ResponseFlag::kUpstreamRetryLimitExceeded);
    return std::nullopt;
  }
  if (recording != nullptr && !recording->CanPlay()) {
    if (!recording->is_too_long()) stats_.rq_retry_skipped_request_not_complete.Add();
    return std::nullopt;
  }
  *unit = BreakerUnit();  // The retry before has ended.
  *unit = BreakerUnit::Try(forwarding.cluster.breaker(forwarding.options.priority),
                           Resource::kRetries, exchange.worker().index());
  if (!*unit) {
    stats.upstream_rq_retry_overflow.Add();
    forwarding.counters.Count(&RequestStats::upstream_rq_retry_overflow);
    exchange.Note(ResponseFlag::kUpstreamOverflow);
    return std::nullopt;
  }
  Rng& rng = exchange.worker().rng();
  if (const uint32_t percent = settings_.use_retry.Get();
      percent < 100 && rng.Below(100) >= percent) {
    *unit = BreakerUnit();
    return std::nullopt;
  }
  stats.upstream_rq_retry.Add();
  forwarding.counters.Count(&RequestStats::upstream_rq_retry);
  if (outcome.ok()) stats.retry_codes.Count(outcome->head->status);
  if (outcome.ok() && !policy.reset_headers.empty()) {
    if (const auto wait = RateLimitedBackOff(policy, outcome->head->headers, UnixSeconds(), rng)) {
      stats.upstream_rq_retry_backoff_ratelimited.Add();
      return wait;
    }
  }
  stats.upstream_rq_retry_backoff_exponential.Add();
  return RetryBackOff(policy, attempts, std::chrono::milliseconds(settings_.retry_base_ms.Get()),
                      rng);
}

bool Router::Redirects(ResponseHead& response, const std::shared_ptr<RequestRecording>& recording,
                       const Forwarding& forwarding, RequestHead& head) const {
  const InternalRedirects* before = FindRedirects(forwarding.exchange);
  const bool complete = recording == nullptr || recording->IsComplete();
  const std::string_view method = head.method, scheme = head.scheme, authority = head.authority,
                         path = head.path;
  const RedirectVerdict verdict = FollowRedirect(*forwarding.route.internal_redirects, response,
                                                 before == nullptr ? 0 : before->count, complete,
                                                 forwarding.exchange.connection().is_tls, head);
  const ClusterStats& stats = forwarding.cluster.stats();
  switch (verdict) {
    case RedirectVerdict::kNone:
      return false;
    case RedirectVerdict::kFollow: {
      stats.upstream_internal_redirect_succeeded_total.Add();
      InternalRedirects& redirects = RedirectsOf(forwarding.exchange);
      ++redirects.count;
      redirects.pending = true;
      forwarding.exchange.upstream.zone_answers = nullptr;
      forwarding.exchange.upstream.canary = false;
      redirects.method = method;
      redirects.scheme = scheme;
      redirects.authority = authority;
      redirects.path = path;
      // After 303 the new request is a GET.
      redirects.body = response.status == 303 ? nullptr : recording;
      return true;
    }
    case RedirectVerdict::kBadLocation:
      stats_.passthrough_internal_redirect_bad_location.Add();
      break;
    case RedirectVerdict::kUnsafeScheme:
      stats_.passthrough_internal_redirect_unsafe_scheme.Add();
      break;
    case RedirectVerdict::kTooMany:
      stats_.passthrough_internal_redirect_too_many_redirects.Add();
      break;
    case RedirectVerdict::kIncomplete:
      break;
  }
  stats.upstream_internal_redirect_failed_total.Add();
  return false;
}

Response Router::Finish(absl::StatusOr<Response> outcome, std::unique_ptr<RoutedBody> body,
                        const Forwarding& forwarding) const {
  Exchange& exchange = forwarding.exchange;
  if (exchange.has_interims()) CountInterims(forwarding.cluster, forwarding.counters, exchange);
  if (!outcome.ok()) return Fail(outcome.status(), forwarding);
  const Route& route = forwarding.route;
  Response response = *std::move(outcome);
  Headers& headers = response.head->headers;
  if (headers.Get(HeaderId::kXEnvoyUpstreamCanary) == "true") exchange.upstream.canary = true;
  CountAnswer(forwarding.cluster, response.head->status, forwarding.counters, exchange);
  if (exchange.details() != "internal_redirect") exchange.set_details("via_upstream");
  // Before the client has said all the time that the upstream took is not known; a tunnel has no
  // end.
  if (!settings_.suppress_envoy_headers && exchange.time.request_received != TimePoint{} &&
      exchange.request_head()->upgrade.empty() && !IsTunnel(route, *exchange.request_head()))
    SetServiceTime(headers, exchange, forwarding.start);
  if (route.response_attempt_count) SetAttemptCount(headers, exchange);
  for (const std::string& cookie : forwarding.set_cookies)
    headers.AddCopy(HeaderId::kSetCookie, cookie);
  route.EditResponse(response, exchange);
  if (response.tunnel != nullptr) {
    body->KeepForTunnel();
    return response;
  }
  if (response.body == nullptr) {
    RecordTime(exchange, forwarding.cluster, forwarding.counters, forwarding.start);
    return response;
  }
  body->Carry(std::move(response.body), forwarding.counters);
  response.body = std::move(body);
  return response;
}

Response Router::Fail(const absl::Status& error, const Forwarding& forwarding) const {
  Exchange& exchange = forwarding.exchange;
  const Reason reason = ReasonOf(error);
  if (reason == Reason::kUpstreamTimeout) {
    CountTimeout(forwarding.cluster.stats(), reason);
    forwarding.counters.Count(&RequestStats::upstream_rq_timeout);
  }
  const bool attempted = !FindsNoHost(reason) || exchange.upstream.attempts > 1;
  if (!attempted) exchange.upstream.attempts = 0;
  Response response = ErrorReply(error, exchange);
  if (forwarding.no_content_on_timeout &&
      (reason == Reason::kUpstreamTimeout || IsTimeout(error))) {
    exchange.set_local_reply_body("");
    response = Reply(204);
    forwarding.route.EditReply(response, exchange);
  } else if (exchange.upstream.attempts > 1 && !MeaningOf(reason).reset.empty()) {
    std::string reset(MeaningOf(reason).reset);
    std::replace(reset.begin(), reset.end(), '_', ' ');
    const std::string text =
        Cat("upstream connect error or disconnect/reset before headers. retried and the latest "
            "reset reason: ",
            reset);
    exchange.set_local_reply_body(text);
    response.body = TextBody(text);
  }
  if (MeaningOf(reason).is_answer)
    CountAnswer(forwarding.cluster, response.head->status, forwarding.counters, exchange);
  if (forwarding.route.response_attempt_count && attempted)
    SetAttemptCount(response.head->headers, exchange);
  return response;
}

}  // namespace sluice
