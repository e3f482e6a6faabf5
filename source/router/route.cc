// What a route says about one request. Any thread.
#include "source/router/route.h"

#include "source/router/upstream_request.h"

namespace sluice {

void Route::EditLocalReply(Response& response, Exchange& exchange) const {
  if (action == Action::kForward) EditReply(*this, response, exchange);
}

std::string_view Route::ClusterFor(const RequestHead& head) const {
  if (cluster_header.empty()) return cluster_name;
  return head.Get(cluster_header).value_or("");
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
