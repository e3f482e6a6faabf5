// RouteMatcher: the conditions of one route. Immutable and shared by all workers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/envoy/config/route/v3/route_components.pb.h"
#include "source/config/diagnostics.h"
#include "source/config/runtime.h"
#include "source/observe/match/match.h"
#include "source/router/cookie.h"
#include "source/router/route.h"
#include "source/router/uri_template.h"

namespace sluice {

/// The one random number that all shares and weights of a request are held against; drawn when
/// somebody asks for it.
class RequestRandom {
 public:
  explicit RequestRandom(Rng& rng) : rng_(rng) {}
  uint64_t Get() {
    if (!number_.has_value()) number_ = rng_();
    return *number_;
  }

 private:
  Rng& rng_;
  std::optional<uint64_t> number_;
};

class RouteMatcher {
 public:
  /// Reports problems at and below `path`.
  static RouteMatcher Build(const envoy::config::route::v3::RouteMatch& config,
                            std::string_view path, config::Diagnostics& diagnostics,
                            config::Runtime* runtime);

  /// `path_only` is head.PathOnly(), computed once for all routes; `random` the request's number.
  bool Matches(const RequestHead& head, std::string_view path_only, RequestRandom& random) const;

  /// How the path is matched, for prefix_rewrite.
  Route::Matched matched() const;
  size_t prefix_length() const { return text_.size(); }
  /// The template of a path_match_policy; null for other matchers.
  const std::shared_ptr<const UriTemplate>& uri_template() const { return template_; }

 private:
  enum class Kind : uint8_t { kPrefix, kPath, kSeparatedPrefix, kRegex, kTemplate, kConnect };
  bool MatchesPath(std::string_view path) const;

  Kind kind_ = Kind::kPrefix;
  bool ignore_case_ = false;
  bool only_grpc_ = false;
  std::optional<config::RuntimeFraction> share_;  // of the requests; unset: all
  std::string text_;
  std::shared_ptr<const RE2> regex_;
  std::shared_ptr<const UriTemplate> template_;
  std::vector<HeaderMatcher> headers_;
  std::vector<QueryMatcher> queries_;
  std::vector<CookieMatcher> cookies_;
};

}  // namespace sluice
