// The way of a request through the connection manager. Worker threads.
#include "source/server/hcm/http_connection_manager.h"

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/http/reply.h"
#include "source/server/hcm/serve.h"

namespace sluice {
namespace {

constexpr size_t kMaxLocalReply = 16 * 1024 * 1024;

// What the log of the listener says of a connection's requests.
void Report(const Exchange& exchange, ConnectionRecord& record) {
  const RequestHead* head = exchange.request_head();
  const bool broken = exchange.flags().Has(ResponseFlag::kDownstreamProtocolError);
  // A head that breaks the protocol is of none.
  if (head != nullptr && !(broken && exchange.head_refused))
    record.connection_version = head->version;
  if (broken) record.Note(ResponseFlag::kDownstreamProtocolError);
}

bool MayRedirect(const Exchange& exchange) {
  const auto* route = static_cast<const Route*>(exchange.route());
  return route != nullptr && route->internal_redirects != nullptr;
}

// Handle() gives sessions the facts of a Connection, and nothing else.
const ConnectionOrigin& OriginOf(const Exchange& exchange) {
  return static_cast<const ConnectionOrigin&>(exchange.connection());
}

}  // namespace

HttpConnectionManager::HttpConnectionManager(HcmSettings settings, HcmStats stats,
                                             std::unique_ptr<const HttpFilterChain> chain,
                                             std::shared_ptr<const RouteTable> routes,
                                             std::vector<AccessLoggerPtr> access_logs)
    : settings_(std::move(settings)),
      stats_(stats),
      chain_(std::move(chain)),
      routes_(std::move(routes)),
      access_logs_(std::move(access_logs)) {}

Task<> HttpConnectionManager::Handle(Connection& connection, NetworkNext) const {
  return ServeHttp(connection, *this, settings_.session, stats_);
}

// In Envoy a connection is the manager's from the start.
void HttpConnectionManager::OnRefused(Connection&, const ConnectionRefusal&) const {
  stats_.downstream_cx_total.Add();
  stats_.downstream_cx_destroy.Add();
}

void HttpConnectionManager::OnBound(const stats::Scope& listener) const {
  on_listener_ = CompletedRequests(
      listener.Sub("http").Sub(settings_.stat_prefix, stats::tag::kHttpConnManagerPrefix));
}

Task<Response> HttpConnectionManager::OnRequest(Request request, Exchange& exchange) const {
  stats_.downstream_rq_total.Add();
  stats_.downstream_rq_http1_total.Add();
  stats_.downstream_rq_active.Add();
  RequestHead& head = *request.head;
  std::optional<Response> refused = Prepare(head, exchange);
  if (settings_.log_new_request) Log(exchange, "DownstreamStart");
  if (settings_.log_interval > Duration::zero())
    exchange.scope().Spawn(LogPeriodically(*this, exchange));
  Task<Response> answer = refused.has_value() ? Task<Response>(*std::move(refused))
                                              : Next(*chain_, exchange, 0)(std::move(request));
  if (settings_.local_replies == nullptr && !MayRedirect(exchange)) return answer;
  return Rework(std::move(answer), exchange);
}

// The answer, once internal redirects have been followed and local replies rewritten.
Task<Response> HttpConnectionManager::Rework(Task<Response> answer, Exchange& exchange) const {
  Response response = co_await std::move(answer);
  RequestHead& head = *exchange.request_head();
  while (InternalRedirects* redirects = FindRedirects(exchange)) {
    if (!std::exchange(redirects->pending, false) || !HasRoute(*redirects, head, exchange)) break;
    response = Response();
    exchange.seen_by = 0;
    exchange.set_details("");
    exchange.time.upstream_first_sent = TimePoint{};  // Of the request that follows.
    std::optional<Response> refused = FindRoute(head, exchange);
    BodyPtr body = redirects->body == nullptr ? nullptr : redirects->body->Play();
    response = refused.has_value()
                   ? *std::move(refused)
                   : co_await Next(*chain_, exchange, 0)(Request{&head, std::move(body)});
  }
  if (response.head->is_local && settings_.local_replies != nullptr) {
    // What the filters made of it is one text, and small.
    auto body = co_await ReadAll(response.body.get(), kMaxLocalReply);
    settings_.local_replies->Rewrite(response, body.ok() ? *body : std::string(), exchange);
  }
  co_return response;
}

// Everything that happens to a request before its filters; an answer when it goes no further.
std::optional<Response> HttpConnectionManager::Prepare(RequestHead& head,
                                                       Exchange& exchange) const {
  const ConnectionOrigin& connection = OriginOf(exchange);
  const OverloadState& overload = *settings_.session.overload;
  if (overload.Applies(OverloadState::kShedDecode, exchange.worker().rng()) ||
      overload.Applies(OverloadState::kStopAcceptingRequests, exchange.worker().rng())) {
    stats_.downstream_rq_overload_close.Add();
    exchange.Note(ResponseFlag::kOverloadManager);
    return Refusal(exchange, 503, "envoy overloaded", kShedDetails);
  }
  if (auto refused = CheckTarget(head, exchange)) return refused;
  if (head.version == HttpVersion::kHttp10 && head.authority.empty()) {
    if (settings_.default_host_http_10.empty())
      return Refusal(exchange, 400, "", "missing_host_header");
    head.authority = settings_.default_host_http_10;
  }
  StripHost(head, connection.local.port());
  if (!settings_.early_edits.empty()) settings_.early_edits.Apply(head.headers, exchange);
  exchange.set_remote_address(ApplyEdge(settings_.edge, connection.remote, connection.local,
                                        connection.is_tls, exchange.worker().rng(), head));
  TakeInternalHeaders(head);
  return FindRoute(head, exchange);
}

// Whether the redirect can be followed; else the request is again what it was.
bool HttpConnectionManager::HasRoute(const InternalRedirects& redirects, RequestHead& head,
                                     Exchange& exchange) const {
  if (routes_->Select(head, exchange) != nullptr) return true;
  stats_.passthrough_internal_redirect_no_route.Add();
  exchange.set_details("via_upstream");
  head.method = redirects.method;
  head.scheme = redirects.scheme;
  head.authority = redirects.authority;
  head.path = redirects.path;
  return false;
}

std::optional<Response> HttpConnectionManager::FindRoute(RequestHead& head,
                                                         Exchange& exchange) const {
  // The port of a CONNECT's target says which destination is meant: matching alone may ignore it.
  const std::string_view target = head.authority;
  if (head.is_connect()) head.authority = StripPort(target, exchange.connection().local.port());
  const Route* route = routes_->Select(head, exchange);
  head.authority = target;
  exchange.set_route(route);
  if (!UpgradeAllowed(route, settings_.upgrades, head)) {
    stats_.downstream_rq_ws_on_non_ws_route.Add();
    return Refusal(exchange, 403, "", "upgrade_failed");
  }
  if (route == nullptr) return std::nullopt;
  if (route->idle_timeout.has_value()) exchange.LimitIdle(*route->idle_timeout);
  if (route->max_stream_duration.has_value()) exchange.LimitDuration(*route->max_stream_duration);
  return std::nullopt;
}

std::optional<Response> HttpConnectionManager::CheckTarget(RequestHead& head,
                                                           Exchange& exchange) const {
  if (head.scheme == "https" && !exchange.connection().is_tls) {
    // What was to travel encrypted is never sent in clear.
    exchange.Note(ResponseFlag::kDownstreamProtocolError);
    return Refusal(exchange, 403, "Forbidden", "http1.https_url_on_plaintext_connection");
  }
  if (head.is_connect()) return std::nullopt;
  if (!head.path.starts_with('/')) {
    stats_.downstream_rq_non_relative_path.Add();
    return Refusal(exchange, 404, "", "absolute_path_rejected");
  }
  PathVerdict verdict = CheckPath(head.path, settings_.path);
  if (verdict.action == PathVerdict::Action::kAccept) {
    if (!verdict.path.empty()) head.path = head.arena.Copy(verdict.path);
    return std::nullopt;
  }
  if (verdict.action == PathVerdict::Action::kReject) {
    stats_.downstream_rq_failed_path_normalization.Add();
    return Refusal(exchange, 400, "", "path_normalization_failed");
  }
  stats_.downstream_rq_redirected_with_normalized_path.Add();
  Response redirect = Refusal(exchange, 307, "", "path_normalization_failed");
  redirect.head->headers.AddCopy(HeaderId::kLocation, verdict.path);
  return redirect;
}

// internal_only_headers are believed of internal clients.
void HttpConnectionManager::TakeInternalHeaders(RequestHead& head) const {
  if (routes_->internal_only_headers().empty()) return;
  if (head.headers.Get(HeaderId::kXEnvoyInternal) == "true") return;
  for (const std::string& name : routes_->internal_only_headers()) head.headers.Remove(name);
}

// `authority` without the port that the configuration wants to be ignored.
std::string_view HttpConnectionManager::StripPort(std::string_view authority,
                                                  uint16_t listener_port) const {
  if (!settings_.strip_any_host_port && !settings_.strip_matching_host_port) return authority;
  const std::string_view port = PortOf(authority);
  if (port.empty()) return authority;
  const bool drop =
      settings_.strip_any_host_port || ParseDecimal<uint16_t>(port.substr(1)) == listener_port;
  return drop ? HostOf(authority) : authority;
}

// What of a request's host is dropped for matching and for the origin.
void HttpConnectionManager::StripHost(RequestHead& head, uint16_t listener_port) const {
  if (head.is_connect()) return;
  head.authority = StripPort(head.authority, listener_port);
  if (!settings_.strip_trailing_host_dot) return;
  const std::string_view host = HostOf(head.authority);
  if (!host.ends_with('.')) return;
  head.authority = head.arena.Copy(Cat(host.substr(0, host.size() - 1), PortOf(head.authority)));
}

void HttpConnectionManager::OnInterim(int status) const {
  stats_.completed.Count(status);
  on_listener_.Count(status);
}

void HttpConnectionManager::OnResponse(Response& response, Exchange& exchange) const {
  const RequestHead& head = *exchange.request_head();
  Headers& headers = response.head->headers;
  // Rewrite() has done it already.
  if (response.head->is_local && settings_.local_replies == nullptr && head.is_grpc())
    MakeGrpc(response, exchange.local_reply_body(), exchange);
  if (chain_->edit_every_response != 0) chain_->EditUnseen(*response.head, exchange);
  const bool tunnel_to_connect =
      response.tunnel != nullptr && response.head->status != 101 && !head.is_connect();
  Sign(headers, tunnel_to_connect);
  if (settings_.request_id_in_response) {
    if (const auto id = head.headers.Get(HeaderId::kXRequestId))
      headers.Set(HeaderId::kXRequestId, *id);
  }
}

// Says who answers: `server`, which may be kept unless `always_ours`, and `via`.
void HttpConnectionManager::Sign(Headers& headers, bool always_ours) const {
  using ServerHeader = HcmSettings::ServerHeader;
  if (settings_.server_header == ServerHeader::kOverwrite || always_ours) {
    headers.Remove(HeaderId::kServer);
    headers.Add(HeaderId::kServer, settings_.server_name);
  } else if (settings_.server_header == ServerHeader::kAppendIfAbsent &&
             !headers.Has(HeaderId::kServer)) {
    headers.Add(HeaderId::kServer, settings_.server_name);
  }
  if (!settings_.edge.via.empty()) headers.Append(HeaderId::kVia, settings_.edge.via);
}

void HttpConnectionManager::CountFault(HeadFault fault) const {
  switch (fault) {
    case HeadFault::kPath:
      return stats_.downstream_rq_failed_path_normalization.Add();
    case HeadFault::kNoHost:
      return;
    case HeadFault::kShed:
      return stats_.downstream_rq_overload_close.Add();
    case HeadFault::kUnderscore:
      settings_.underscore_rejects.Add();
      [[fallthrough]];
    case HeadFault::kProtocol:
      stats_.downstream_cx_protocol_error.Add();
      break;
    case HeadFault::kHeaderTimeout:
      stats_.downstream_rq_header_timeout.Add();
      break;
    case HeadFault::kTooLong:
      stats_.downstream_rq_max_duration_reached.Add();
      break;
    case HeadFault::kIdle:
      break;
  }
  stats_.downstream_rq_response_before_rq_complete.Add();
}

Response HttpConnectionManager::OnBadRequest(const HeadResult& result, Exchange& exchange) const {
  stats_.downstream_rq_total.Add();
  stats_.downstream_rq_http1_total.Add();
  CountFault(result.fault);
  // A whole head without a usable path or host is not against the protocol, nor is a late one.
  if (result.fault == HeadFault::kProtocol || result.fault == HeadFault::kUnderscore ||
      result.fault == HeadFault::kShed)
    exchange.Note(ResponseFlag::kDownstreamProtocolError);
  Response response = Refusal(exchange, result.status, result.body, result.details);
  if (settings_.local_replies != nullptr)
    settings_.local_replies->Rewrite(response, result.body, exchange);
  chain_->EditUnseen(*response.head, exchange);
  Sign(response.head->headers, false);
  return response;
}

void HttpConnectionManager::OnTunnel(Exchange& exchange) const {
  stats_.downstream_cx_upgrades_total.Add();
  stats_.downstream_cx_upgrades_active.Add();
  if (settings_.log_tunnel) Log(exchange, "DownstreamTunnelSuccessfullyEstablished");
}

void HttpConnectionManager::OnComplete(Exchange& exchange) const {
  if (exchange.tunnel_established) stats_.downstream_cx_upgrades_active.Sub();
  const bool was_request = exchange.request_head() != nullptr && !exchange.head_refused;
  if (was_request) stats_.downstream_rq_active.Sub();
  if (!was_request) exchange.connection_version = HttpVersion::kHttp11;  // for the log, as Envoy
  if (exchange.health_check) {
    stats_.health_checks.Add();
  } else if (const ResponseHead* response = exchange.response_head()) {
    stats_.completed.Count(response->status);
    on_listener_.Count(response->status);
  }
  stats_.downstream_rq_time.Record(
      static_cast<uint64_t>(Milliseconds(Now() - exchange.time.start)));
  if (exchange.flags().Has(ResponseFlag::kStreamIdleTimeout))
    stats_.downstream_rq_idle_timeout.Add();
  const bool client_left = exchange.flags().Has(ResponseFlag::kDownstreamConnectionTermination);
  const bool broken = exchange.flags().Has(ResponseFlag::kDownstreamProtocolError);
  // Of a bad head OnBadRequest knows.
  if (broken && was_request && exchange.failure() == Reason::kDownstreamProtocol)
    stats_.downstream_cx_protocol_error.Add();
  if (client_left || broken || exchange.response_cut) stats_.downstream_rq_rx_reset.Add();
  if (exchange.response_cut && !client_left) stats_.downstream_rq_tx_reset.Add();
  if (client_left) {
    if (exchange.request_head() == nullptr && exchange.response_head() == nullptr) {
      // It left within its head.
      stats_.downstream_rq_total.Add();
      stats_.downstream_rq_http1_total.Add();
    }
    stats_.downstream_cx_destroy_active_rq.Add();
    // The worker ends, or the client has left.
    const Canceller& canceller = exchange.canceller();
    const bool ours = canceller.cancelled() && canceller.reason() == Reason::kCancelled;
    (ours ? stats_.downstream_cx_destroy_local_active_rq
          : stats_.downstream_cx_destroy_remote_active_rq)
        .Add();
  }
  if (was_request && exchange.time.response_last_sent != TimePoint{} &&
      exchange.time.request_received == TimePoint{} && !exchange.tunnel_established) {
    stats_.downstream_rq_response_before_rq_complete.Add();
  }
  // These have no flag.
  const Reason failure = exchange.failure();
  if (failure == Reason::kRequestTimeout) stats_.downstream_rq_timeout.Add();
  if (failure == Reason::kRequestTooLarge) stats_.downstream_rq_too_large.Add();
  if (failure == Reason::kMaxStreamDuration) stats_.downstream_rq_max_duration_reached.Add();
  if (ConnectionRecord* record = OriginOf(exchange).record.get()) Report(exchange, *record);
  if (!access_logs_.empty()) Log(exchange, "DownstreamEnd");
}

void HttpConnectionManager::Log(Exchange& exchange, std::string_view type) const {
  for (const AccessLoggerPtr& logger : access_logs_) logger->Log(LogContext{exchange, type});
}

Task<> HttpConnectionManager::LogPeriodically(const HttpConnectionManager& manager,
                                              Exchange& exchange) {
  while (co_await Sleep(manager.settings_.log_interval))
    manager.Log(exchange, "DownstreamPeriodic");
}

}  // namespace sluice
