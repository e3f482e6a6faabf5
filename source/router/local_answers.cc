// What the router answers itself. Worker threads only.
#include "source/base/strings.h"
#include "source/http/reply.h"
#include "source/router/router.h"
#include "source/router/upstream_request.h"

namespace sluice {
namespace {

// body_format of a direct response.
void FormatBody(const DirectResponse& direct, Response& response, Exchange& exchange) {
  std::string text;
  exchange.set_response_head(response.head.get());
  direct.format->Format(LogContext{exchange}, &text);
  if (direct.format->is_json()) text += '\n';  // As Envoy ends it.
  exchange.set_response_head(nullptr);
  response.head->headers.Set(HeaderId::kContentType, direct.content_type);
  exchange.set_local_reply_body(text);
  response.body = TextBody(std::move(text));
}

}  // namespace

Response Router::NoCluster(const Route& route, Exchange& exchange) const {
  stats_.no_cluster.Add();
  exchange.Note(ResponseFlag::kNoClusterFound);
  exchange.set_details("cluster_not_found");
  Response response = Reply(route.cluster_not_found_status);
  route.EditReply(response, exchange);
  return response;
}

Response Router::Shed(Exchange& exchange) const {
  stats_.rq_overload_local_reply.Add();
  return Refusal(exchange, 503, "envoy overloaded", kShedDetails);
}

Response Router::TurnAway(TurnedAway why, const Cluster& cluster, const RequestCounters& counters,
                          Exchange& exchange) const {
  CountAnswer(cluster, 503, counters, exchange);
  return AnswerTo(why, settings_.suppress_envoy_headers, exchange);
}

Response Router::UnreadableHeader(std::string_view name, const Route& route,
                                  const RequestHead& head, Exchange& exchange) const {
  exchange.Note(ResponseFlag::kInvalidEnvoyRequestHeaders);
  exchange.set_details(Cat("request_headers_failed_strict_check{", name, "}"));
  const std::string text =
      Cat("invalid header '", name, "' with value '", head.headers.Get(name).value_or(""), "'");
  exchange.set_local_reply_body(text);
  Response response = Reply(400, text);
  route.EditReply(response, exchange);
  return response;
}

Response Router::AnswerLocally(const Route& route, RequestHead& head, Exchange& exchange) const {
  exchange.set_details("direct_response");
  Response response;
  if (route.action == Route::Action::kRedirect) {
    stats_.rq_redirect.Add();
    stats_.rq_direct_response.Add();  // Envoy knows no other.
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
    if (route.direct->format != nullptr) FormatBody(*route.direct, response, exchange);
  }
  route.EditReply(response, exchange);
  if (route.direct != nullptr && route.direct->format != nullptr)  // What it says is the last word.
    response.head->headers.Set(HeaderId::kContentType, route.direct->content_type);
  return response;
}

}  // namespace sluice
