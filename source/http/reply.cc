// Local replies. Worker thread only.
#include "source/http/reply.h"

#include "source/base/strings.h"
#include "source/http/exchange.h"

namespace sluice {
namespace {

constexpr int kGrpcDeadlineExceeded = 4;

// What is not printable ASCII, and the sign itself, as %XX.
std::string PercentEncoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%') {
      out += c;
    } else {
      (out += '%').append({kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

void EditByRoute(Response& response, Exchange& exchange) {
  if (exchange.route() != nullptr) exchange.route()->EditLocalReply(response, exchange);
}

}  // namespace

Response Reply(int status, std::string body) {
  Response response{std::make_unique<ResponseHead>(status), nullptr, nullptr};
  response.head->is_local = true;
  if (body.empty()) {
    response.body = StaticBody("");
    return response;
  }
  response.head->headers.Add(HeaderId::kContentType, "text/plain");
  response.body = TextBody(std::move(body));
  return response;
}

Response Refusal(Exchange& exchange, int status, std::string_view body, std::string_view details) {
  exchange.set_details(details);
  exchange.set_local_reply_body(body);
  Response response{std::make_unique<ResponseHead>(status), StaticBody(body), nullptr};
  response.head->is_local = true;
  if (!body.empty()) response.head->headers.Add(HeaderId::kContentType, "text/plain");
  EditByRoute(response, exchange);
  return response;
}

Task<Response> Answered(Response response) {
  co_return response;
}

Response ErrorReply(const absl::Status& error, Exchange& exchange) {
  Reason reason = ReasonOf(error);
  // A cancelled exchange knows better why: a time limit, or a client that went away.
  if (reason == Reason::kCancelled && exchange.canceller().cancelled())
    reason = exchange.canceller().reason();
  const ReasonMeaning& meaning = MeaningOf(reason);
  exchange.Note(reason == Reason::kCancelled || reason == ReasonOf(error) ? error
                                                                          : MakeError(reason));
  exchange.set_local_reply_body(meaning.body);
  int status = meaning.status == 0 ? 503 : meaning.status;
  // It is the client that has been slow (RFC 9110 15.5.9).
  const bool is_limit = reason == Reason::kStreamIdleTimeout ||
                        reason == Reason::kMaxStreamDuration ||
                        reason == Reason::kUpstreamMaxStreamDuration;
  if (is_limit && exchange.time.request_received == TimePoint{}) status = 408;
  Response response = Reply(status, std::string(meaning.body));
  EditByRoute(response, exchange);
  if (meaning.reason == Reason::kOverflow)
    response.head->headers.Add(HeaderId::kXEnvoyOverloaded, "true");
  return response;
}

int GrpcStatusFor(int http_status) {
  switch (http_status) {
    case 400:
      return 13;  // INTERNAL
    case 401:
      return 16;  // UNAUTHENTICATED
    case 403:
      return 7;  // PERMISSION_DENIED
    case 404:
      return 12;  // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;  // UNAVAILABLE
    default:
      return 2;  // UNKNOWN
  }
}

void MakeGrpc(Response& response, std::string_view message, const Exchange& exchange) {
  Headers& headers = response.head->headers;
  headers.Remove(HeaderId::kContentType);
  headers.Add(HeaderId::kContentType, "application/grpc");
  // To Envoy no other limit of time is gRPC's deadline.
  const bool too_long = exchange.failure() == Reason::kMaxStreamDuration;
  headers.AddCopy("grpc-status",
                  Cat(too_long ? kGrpcDeadlineExceeded : GrpcStatusFor(response.head->status)));
  if (!message.empty()) headers.AddCopy("grpc-message", PercentEncoded(message));
  response.head->status = 200;
  response.body = StaticBody("");
}

}  // namespace sluice
