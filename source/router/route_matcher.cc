// Matching of one route. Immutable, any thread.
#include "source/router/route_matcher.h"

#include "api/envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "source/base/strings.h"
#include "source/router/upstream_request.h"

namespace sluice {
namespace {

using Config = envoy::config::route::v3::RouteMatch;

template <class Matcher, class Configs>
void BuildAll(const Configs& configs, std::string_view path, std::string_view field,
              config::Diagnostics& diagnostics, std::vector<Matcher>* out) {
  for (int i = 0; i < configs.size(); ++i) {
    auto matcher = Matcher::Build(configs[i]);
    if (matcher.ok()) {
      out->push_back(*std::move(matcher));
    } else {
      diagnostics.Error(config::ElementPath(config::ChildPath(path, field), i),
                        Std(matcher.status().message()));
    }
  }
}

// The template of the one kind of path_match_policy that there is.
std::shared_ptr<const UriTemplate> BuildTemplate(
    const envoy::config::core::v3::TypedExtensionConfig& config, const std::string& path,
    config::Diagnostics& diagnostics) {
  envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig match;
  if (!config.typed_config().UnpackTo(&match)) {
    diagnostics.Error(path, "only envoy.path.match.uri_template.uri_template_matcher is supported");
    return nullptr;
  }
  auto parsed = UriTemplate::Parse(match.path_template());
  if (parsed.ok()) return *std::move(parsed);
  diagnostics.Error(config::ChildPath(path, "typed_config.path_template"),
                    Std(parsed.status().message()));
  return nullptr;
}

}  // namespace

RouteMatcher RouteMatcher::Build(const Config& config, std::string_view path,
                                 config::Diagnostics& diagnostics, config::Runtime* runtime) {
  RouteMatcher matcher;
  matcher.ignore_case_ = config.has_case_sensitive() && !config.case_sensitive().value();
  switch (config.path_specifier_case()) {
    case Config::kPrefix:
      matcher.kind_ = Kind::kPrefix;
      matcher.text_ = config.prefix();
      break;
    case Config::kPath:
      matcher.kind_ = Kind::kPath;
      matcher.text_ = config.path();
      break;
    case Config::kPathSeparatedPrefix:
      matcher.kind_ = Kind::kSeparatedPrefix;
      matcher.text_ = config.path_separated_prefix();
      break;
    case Config::kConnectMatcher:
      matcher.kind_ = Kind::kConnect;
      break;
    case Config::kSafeRegex: {
      matcher.kind_ = Kind::kRegex;
      auto regex = CompileRegex(config.safe_regex().regex());
      if (regex.ok()) {
        matcher.regex_ = *std::move(regex);
      } else {
        diagnostics.Error(config::ChildPath(config::ChildPath(path, "safe_regex"), "regex"),
                          Std(regex.status().message()));
      }
      break;
    }
    case Config::kPathMatchPolicy:
      matcher.kind_ = Kind::kTemplate;
      matcher.template_ = BuildTemplate(config.path_match_policy(),
                                        config::ChildPath(path, "path_match_policy"), diagnostics);
      break;
    case Config::PATH_SPECIFIER_NOT_SET:
      diagnostics.Error(path,
                        "one of prefix, path, safe_regex, connect_matcher, path_separated_prefix, "
                        "path_match_policy is required");
      break;
  }
  BuildAll(config.headers(), path, "headers", diagnostics, &matcher.headers_);
  BuildAll(config.query_parameters(), path, "query_parameters", diagnostics, &matcher.queries_);
  BuildAll(config.cookies(), path, "cookies", diagnostics, &matcher.cookies_);
  matcher.only_grpc_ = config.has_grpc();
  if (config.has_runtime_fraction()) matcher.share_.emplace(config.runtime_fraction(), runtime);
  return matcher;
}

bool RouteMatcher::MatchesPath(std::string_view path) const {
  const std::string_view start = path.substr(0, text_.size());
  const bool prefix = ignore_case_ ? EqualsIgnoreCase(start, text_) : start == text_;
  switch (kind_) {
    case Kind::kPrefix:
      return prefix;
    case Kind::kPath:
      return prefix && path.size() == text_.size();
    case Kind::kSeparatedPrefix:
      return prefix && (path.size() == text_.size() || path[text_.size()] == '/');
    case Kind::kRegex:
      return FullMatch(path, *regex_);
    case Kind::kTemplate:
      return template_->Matches(path);
    case Kind::kConnect:
      return false;
  }
  return false;
}

bool RouteMatcher::Matches(const RequestHead& head, std::string_view path_only,
                           RequestRandom& random) const {
  // A CONNECT has no path that a path matcher could look at.
  if (head.is_connect() ? kind_ != Kind::kConnect : !MatchesPath(path_only)) return false;
  for (const HeaderMatcher& matcher : headers_) {
    if (!matcher.Matches(head)) return false;
  }
  for (const QueryMatcher& matcher : queries_) {
    if (!matcher.Matches(head.path)) return false;
  }
  for (const CookieMatcher& matcher : cookies_) {
    if (!matcher.Matches(head)) return false;
  }
  if (only_grpc_ && !head.is_grpc()) return false;
  return !share_.has_value() || share_->Holds(random.Get());
}

Route::Matched RouteMatcher::matched() const {
  switch (kind_) {
    case Kind::kPrefix:
    case Kind::kSeparatedPrefix:
      return Route::Matched::kPrefix;
    case Kind::kPath:
    case Kind::kRegex:
    case Kind::kTemplate:
      return Route::Matched::kWholePath;
    case Kind::kConnect:
      break;
  }
  return Route::Matched::kNothing;
}

}  // namespace sluice
