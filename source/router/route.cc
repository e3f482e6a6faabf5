// What a route says about one request. Any thread.
#include "source/router/route.h"

namespace sluice {

void Route::EditResponse(Response& response, Exchange& exchange) const {
  for (const auto& edits : response_edits) edits->Apply(*response.head, exchange);
}

void Route::EditReply(Response& response, Exchange& exchange) const {
  if (response_edits.empty()) return;
  Headers& headers = response.head->headers;
  const auto type = headers.Get(HeaderId::kContentType);
  headers.Remove(HeaderId::kContentType);
  EditResponse(response, exchange);
  if (!type.has_value()) {
    headers.Remove(HeaderId::kContentType);
  } else if (!headers.Has(HeaderId::kContentType)) {
    headers.Add(HeaderId::kContentType, *type);
  }
}

void Route::EditLocalReply(Response& response, Exchange& exchange) const {
  if (action == Action::kForward) EditReply(response, exchange);
}

size_t Route::MatchedLength(const RequestHead& head) const {
  switch (matched) {
    case Matched::kPrefix:
      return matched_prefix;
    case Matched::kWholePath:
      return head.PathOnly().size();
    case Matched::kNothing:
      break;
  }
  return 0;
}

}  // namespace sluice
