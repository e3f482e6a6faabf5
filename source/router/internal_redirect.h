// Internal redirects: a redirecting answer of an origin that the proxy follows itself. The router
// decides and rewrites the request; the connection manager then sends it through routes and filters
// again. Belongs to one worker.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "source/http/exchange.h"
#include "source/router/request_recording.h"

namespace sluice {

/// RouteAction.internal_redirect_policy.
struct InternalRedirectPolicy {
  uint32_t max_redirects = 1;  // of one request
  std::vector<uint32_t> codes = {302};
  std::vector<std::string> copied_headers;  // of the response, in lower case
};

/// What an exchange remembers of its redirects, as the filter state kName.
class InternalRedirects final : public FilterStateObject {
 public:
  static constexpr std::string_view kName = "sluice.internal_redirects";

  std::string ToString() const override;

  uint32_t count = 0;
  bool pending = false;                    // the response that comes back is to be followed
  std::shared_ptr<RequestRecording> body;  // null: the request has none
  // The request as it was before, for a target that no route knows.
  std::string_view method, scheme, authority, path;
};

enum class RedirectVerdict : uint8_t {
  kNone,         // no redirect, or not for us
  kFollow,       // the head is rewritten
  kBadLocation,  // and all that follow: it goes to the client
  kUnsafeScheme,
  kTooMany,
  kIncomplete,  // the request's body is not there as a whole
};

/// Decides what becomes of `response`; rewrites `head` for kFollow: target, method (303), the
/// copied headers, x-envoy-original-url. `count`: redirects that were followed already. `is_tls`:
/// of the client's connection, which alone says what is safe, whatever x-forwarded-proto claims.
RedirectVerdict FollowRedirect(const InternalRedirectPolicy& policy, ResponseHead& response,
                               uint32_t count, bool body_complete, bool is_tls, RequestHead& head);

/// The exchange's memory of redirects; made when first asked for.
InternalRedirects& RedirectsOf(Exchange& exchange);
/// Null when the exchange has followed none.
InternalRedirects* FindRedirects(const Exchange& exchange);

}  // namespace sluice
