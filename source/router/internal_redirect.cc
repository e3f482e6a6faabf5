// Following redirects. Worker thread only.
#include "source/router/internal_redirect.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice {
namespace {

struct Target {
  std::string_view scheme, authority, path;
};

// An absolute http URI without userinfo and fragment; nothing when it is no such.
std::optional<Target> ParseLocation(std::string_view location) {
  Target target;
  const size_t colon = location.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  target.scheme = location.substr(0, colon);
  if (target.scheme != "http" && target.scheme != "https") return std::nullopt;
  std::string_view rest = location.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  target.authority = rest.substr(0, end);
  target.path = rest.substr(end);
  const bool odd =
      location.find_first_of(std::string_view(" \t\r\n\0", 5)) != std::string_view::npos;
  if (odd || target.authority.empty() || target.authority.find('@') != std::string_view::npos)
    return std::nullopt;
  return target;
}

}  // namespace

std::string InternalRedirects::ToString() const {
  return Cat(count);
}

RedirectVerdict FollowRedirect(const InternalRedirectPolicy& policy, ResponseHead& response,
                               uint32_t count, bool body_complete, bool is_tls, RequestHead& head) {
  if (std::find(policy.codes.begin(), policy.codes.end(), static_cast<uint32_t>(response.status)) ==
      policy.codes.end())
    return RedirectVerdict::kNone;
  if (!body_complete) return RedirectVerdict::kIncomplete;
  const auto location = response.headers.Get(HeaderId::kLocation);
  const auto target = ParseLocation(location.value_or(""));
  if (!target.has_value()) return RedirectVerdict::kBadLocation;
  // From https to http or back is for the client to decide.
  const std::string_view scheme = is_tls ? "https" : "http";
  if (target->scheme != scheme) return RedirectVerdict::kUnsafeScheme;
  if (count >= policy.max_redirects) return RedirectVerdict::kTooMany;
  for (const std::string& name : policy.copied_headers) {
    head.headers.Remove(name);
    if (const auto value = response.headers.GetJoined(name)) head.headers.AddCopy(name, *value);
  }
  if (!head.headers.Get("x-envoy-original-url").has_value()) {
    head.headers.AddCopy("x-envoy-original-url", Cat(scheme, "://", head.authority, head.path));
  }
  if (response.status == 303 && !head.is_head()) {
    head.method = "GET";
    head.headers.Remove(HeaderId::kContentLength);
  }
  head.scheme = scheme;
  head.authority = head.arena.Copy(target->authority);
  head.path = head.arena.Copy(target->path.starts_with('/') ? std::string(target->path)
                                                            : Cat("/", target->path));
  return RedirectVerdict::kFollow;
}

InternalRedirects* FindRedirects(const Exchange& exchange) {
  // The object is ours: nobody else sets that name.
  return const_cast<InternalRedirects*>(
      static_cast<const InternalRedirects*>(exchange.filter_state(InternalRedirects::kName)));
}

InternalRedirects& RedirectsOf(Exchange& exchange) {
  if (InternalRedirects* found = FindRedirects(exchange)) return *found;
  auto made = std::make_shared<InternalRedirects>();
  InternalRedirects& redirects = *made;
  exchange.set_filter_state(InternalRedirects::kName, std::move(made));
  return redirects;
}

}  // namespace sluice
