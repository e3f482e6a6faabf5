// Rewriting of paths and redirect targets. Pure functions, any thread.
#include "source/router/path_rewrite.h"

#include "source/base/strings.h"

namespace sluice {
namespace {

struct SplitPath {
  std::string_view path;
  std::string_view query;  // with its '?'
};

SplitPath Split(std::string_view text) {
  const size_t mark = std::min(text.find('?'), text.size());
  return {text.substr(0, mark), text.substr(mark)};
}

bool IsDefaultPort(std::string_view scheme, std::string_view port) {
  return (scheme == "http" && port == ":80") || (scheme == "https" && port == ":443");
}

// What is sent upstream begins with '/' whatever the rewrite left of it.
std::string Rooted(std::string path) {
  if (!path.starts_with('/')) path.insert(0, "/");
  return path;
}

}  // namespace

std::string RewritePath(const PathRewrite& rewrite, std::string_view path, size_t matched) {
  const SplitPath split = Split(path);
  if (rewrite.uri_template != nullptr)
    return Rooted(Cat(rewrite.uri_template->Rewrite(split.path), split.query));
  if (rewrite.regex != nullptr) {
    std::string out(split.path);
    RE2::GlobalReplace(&out, *rewrite.regex, rewrite.substitution);
    if (out.empty()) return out;
    return Rooted(Cat(out, split.query));
  }
  if (!rewrite.prefix.has_value()) return std::string(path);
  return Rooted(
      Cat(*rewrite.prefix, split.path.substr(std::min(matched, split.path.size())), split.query));
}

std::string RedirectLocation(const Redirect& redirect, const RequestHead& head, size_t matched) {
  const std::string_view scheme =
      redirect.scheme.empty() ? head.scheme : std::string_view(redirect.scheme);
  std::string_view port = PortOf(head.authority);
  std::string_view host = head.authority.substr(0, head.authority.size() - port.size());
  std::string own_port;
  if (!redirect.host.empty()) {
    host = redirect.host;
    port = {};
  }
  // With another scheme the old one's default port would be a wrong one.
  if (scheme != head.scheme && IsDefaultPort(head.scheme, port)) port = {};
  if (redirect.port != 0) {
    own_port = Cat(":", redirect.port);
    port = own_port;
  }
  std::string path(head.path);
  if (!redirect.path.empty()) {
    // A query in path_redirect replaces the request's.
    const bool own_query = redirect.path.find('?') != std::string::npos;
    path = own_query ? redirect.path : Cat(redirect.path, Split(head.path).query);
    if (redirect.strip_query && !own_query) path = redirect.path;
  } else {
    if (redirect.rewrite.has_value()) {
      std::string rewritten = RewritePath(*redirect.rewrite, head.path, matched);
      if (!rewritten.empty()) path = std::move(rewritten);
    }
    if (redirect.strip_query) path.resize(Split(path).path.size());
  }
  return Cat(scheme, "://", host, port, path);
}

}  // namespace sluice
