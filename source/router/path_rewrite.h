// Path and URL rewriting of routes and redirects, as pure functions. Immutable, any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <re2/re2.h>

#include "source/http/message.h"
#include "source/router/uri_template.h"

namespace sluice {

/// prefix_rewrite or regex_rewrite of a route or redirect.
struct PathRewrite {
  std::optional<std::string> prefix;  // replaces what the route's matcher matched
  std::shared_ptr<const RE2>
      regex;                 // all its matches in the path, without the query, are replaced ...
  std::string substitution;  // ... by this; \1 is the first group
  std::shared_ptr<const UriTemplateRewrite> uri_template;  // path_rewrite_policy
};

/// The new path and query. `matched` is the length of what the route matched at the start of the
/// path (all of it, without the query, where it matched exactly or by expression). Begins with '/',
/// or is empty where an expression leaves nothing: then the path stays as it is.
std::string RewritePath(const PathRewrite& rewrite, std::string_view path, size_t matched);

/// A RedirectAction.
struct Redirect {
  int status = 301;
  std::string scheme;  // empty: the request's
  std::string host;    // empty: the request's
  uint32_t port = 0;   // 0: the request's, unless scheme changes and it is the old scheme's default
  std::string path;    // path_redirect; may hold a query of its own
  std::optional<PathRewrite> rewrite;
  bool strip_query = false;
};

/// The Location for a request.
std::string RedirectLocation(const Redirect& redirect, const RequestHead& head, size_t matched);

}  // namespace sluice
