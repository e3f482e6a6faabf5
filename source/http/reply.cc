// Local replies. Worker thread only.
#include "source/http/reply.h"

#include "source/http/exchange.h"

namespace sluice {

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
  Response response = Reply(meaning.status == 0 ? 503 : meaning.status, std::string(meaning.body));
  if (meaning.reason == Reason::kOverflow)
    response.head->headers.Add(HeaderId::kXEnvoyOverloaded, "true");
  return response;
}

}  // namespace sluice
