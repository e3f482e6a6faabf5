// Compiling route actions. Main thread, while a configuration is loaded.
#include "source/router/route_action.h"

#include <algorithm>

#include "source/base/strings.h"
#include "source/config/data_source.h"
#include "source/observe/format/formatter_config.h"
#include "source/observe/match/match.h"
#include "source/router/retry_config.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::route::v3;
using config::ChildPath;
using config::Diagnostics;
using config::ElementPath;

void BuildUpgrades(const v3::RouteAction& config, const std::string& path, Diagnostics& diagnostics,
                   Route* route) {
  for (int i = 0; i < config.upgrade_configs_size(); ++i) {
    const auto& upgrade = config.upgrade_configs(i);
    const std::string element = ElementPath(ChildPath(path, "upgrade_configs"), i);
    const std::string protocol = ToLower(upgrade.upgrade_type());
    const bool known = std::any_of(route->upgrades.begin(), route->upgrades.end(),
                                   [&](const auto& entry) { return entry.first == protocol; });
    if (known)
      diagnostics.Error(ChildPath(element, "upgrade_type"),
                        Cat("duplicate upgrade ", config::Quoted(upgrade.upgrade_type())));
    route->upgrades.emplace_back(protocol, !upgrade.has_enabled() || upgrade.enabled().value());
    if (!upgrade.has_connect_config()) continue;
    const std::string connect = ChildPath(element, "connect_config");
    if (protocol != "connect")
      diagnostics.Error(connect, "only the upgrade CONNECT has a connect_config");
    route->terminates_connect = true;
    route->terminates_post = upgrade.connect_config().allow_post();
    if (upgrade.connect_config().has_proxy_protocol_config()) {
      using Version = envoy::config::core::v3::ProxyProtocolConfig;
      route->connect_proxy_version =
          upgrade.connect_config().proxy_protocol_config().version() == Version::V2 ? 2 : 1;
    }
  }
}

// A text with operators; nothing when it is empty or wrong.
std::optional<Formatter> BuildText(const std::string& text, bool omit_empty,
                                   const std::string& path, Diagnostics& diagnostics) {
  if (text.empty()) return std::nullopt;
  auto formatter = Formatter::FromText(
      text, {.omit_empty_values = omit_empty, .escaping = Formatter::Escaping::kHeaderValue});
  if (formatter.ok()) return *std::move(formatter);
  diagnostics.Error(path, Std(formatter.status().message()));
  return std::nullopt;
}

void BuildFormats(const v3::RouteAction& config, const std::string& path, Diagnostics& diagnostics,
                  Route* route) {
  auto formats = std::make_shared<RouteFormats>();
  formats->path =
      BuildText(config.path_rewrite(), true, ChildPath(path, "path_rewrite"), diagnostics);
  formats->host =
      BuildText(config.host_rewrite(), false, ChildPath(path, "host_rewrite"), diagnostics);
  const int rewrites = !config.prefix_rewrite().empty() + config.has_regex_rewrite() +
                       config.has_path_rewrite_policy() + !config.path_rewrite().empty();
  if (rewrites > 1) {
    diagnostics.Error(
        path,
        "only one of prefix_rewrite, regex_rewrite, path_rewrite_policy, path_rewrite "
        "is possible");
  }
  if (formats->path.has_value() || formats->host.has_value()) route->formats = std::move(formats);
}

void BuildRewrites(const v3::RouteAction& config, const std::string& path, Diagnostics& diagnostics,
                   Route* route) {
  if (!config.prefix_rewrite().empty()) {
    route->rewrite.emplace();
    route->rewrite->prefix = config.prefix_rewrite();
  } else if (config.has_regex_rewrite()) {
    route->rewrite =
        BuildRegexRewrite(config.regex_rewrite(), ChildPath(path, "regex_rewrite"), diagnostics);
  }
  route->host_literal = config.host_rewrite_literal();
  route->host_header = ToLower(config.host_rewrite_header());
  route->auto_host = config.auto_host_rewrite().value();
  if (config.has_host_rewrite_path_regex()) {
    route->host_regex = std::make_shared<PathRewrite>(BuildRegexRewrite(
        config.host_rewrite_path_regex(), ChildPath(path, "host_rewrite_path_regex"), diagnostics));
  }
  BuildFormats(config, path, diagnostics, route);
  route->append_x_forwarded_host = config.append_x_forwarded_host();
}

std::shared_ptr<const InternalRedirectPolicy> BuildInternalRedirects(
    const v3::InternalRedirectPolicy& config, const std::string& path, Diagnostics& diagnostics) {
  auto policy = std::make_shared<InternalRedirectPolicy>();
  if (config.has_max_internal_redirects())
    policy->max_redirects = config.max_internal_redirects().value();
  // Envoy leaves out what is no redirect without a word.
  if (!config.redirect_response_codes().empty()) policy->codes.clear();
  for (int i = 0; i < config.redirect_response_codes_size(); ++i) {
    const uint32_t code = config.redirect_response_codes(i);
    if (code == 301 || code == 302 || code == 303 || code == 307 || code == 308) {
      policy->codes.push_back(code);
    } else {
      diagnostics.Error(ElementPath(ChildPath(path, "redirect_response_codes"), i),
                        "is none of 301, 302, 303, 307, 308");
    }
  }
  for (const std::string& name : config.response_headers_to_copy())
    policy->copied_headers.push_back(ToLower(name));
  return policy;
}

int StatusOf(v3::RedirectAction::RedirectResponseCode code) {
  switch (code) {
    case v3::RedirectAction::FOUND:
      return 302;
    case v3::RedirectAction::SEE_OTHER:
      return 303;
    case v3::RedirectAction::TEMPORARY_REDIRECT:
      return 307;
    case v3::RedirectAction::PERMANENT_REDIRECT:
      return 308;
    default:
      return 301;
  }
}

int StatusOf(v3::RouteAction::ClusterNotFoundResponseCode code) {
  switch (code) {
    case v3::RouteAction::NOT_FOUND:
      return 404;
    case v3::RouteAction::INTERNAL_SERVER_ERROR:
      return 500;
    default:
      return 503;
  }
}

}  // namespace

std::vector<HeaderMatcher> BuildMatchers(
    const google::protobuf::RepeatedPtrField<v3::HeaderMatcher>& configs, const std::string& path,
    Diagnostics& diagnostics) {
  std::vector<HeaderMatcher> matchers;
  for (int i = 0; i < configs.size(); ++i) {
    auto matcher = HeaderMatcher::Build(configs[i]);
    if (matcher.ok()) {
      matchers.push_back(*std::move(matcher));
    } else {
      diagnostics.Error(ElementPath(path, i), Std(matcher.status().message()));
    }
  }
  return matchers;
}

PathRewrite BuildRegexRewrite(const envoy::type::matcher::v3::RegexMatchAndSubstitute& config,
                              const std::string& path, Diagnostics& diagnostics) {
  PathRewrite rewrite;
  rewrite.substitution = config.substitution();
  auto regex = CompileRegex(config.pattern().regex());
  if (!regex.ok()) {
    diagnostics.Error(ChildPath(ChildPath(path, "pattern"), "regex"),
                      Std(regex.status().message()));
    return rewrite;
  }
  rewrite.regex = *std::move(regex);
  std::string problem;
  if (!rewrite.regex->CheckRewriteString(rewrite.substitution, &problem)) {
    diagnostics.Error(ChildPath(path, "substitution"), problem);
  }
  return rewrite;
}

void BuildForward(const v3::RouteAction& config, const std::string& path, Diagnostics& diagnostics,
                  Route* route) {
  route->action = Route::Action::kForward;
  route->cluster_not_found_status = StatusOf(config.cluster_not_found_response_code());
  route->high_priority = config.priority() == envoy::config::core::v3::HIGH;
  if (config.has_timeout()) route->timeout = ToDuration(config.timeout());
  const bool only_duration = config.has_max_stream_duration();  // Then there is no timeout.
  if (only_duration) route->timeout = Duration::zero();
  route->timeout_text = Cat(Milliseconds(route->timeout));
  if (config.has_max_grpc_timeout() && !only_duration)
    route->max_grpc_timeout = ToDuration(config.max_grpc_timeout());
  route->grpc_timeout_offset = ToDuration(config.grpc_timeout_offset());
  if (config.has_idle_timeout()) route->idle_timeout = ToDuration(config.idle_timeout());
  if (config.max_stream_duration().has_max_stream_duration()) {
    route->max_stream_duration = ToDuration(config.max_stream_duration().max_stream_duration());
  }
  if (config.has_retry_policy())
    route->retry = BuildRetry(config.retry_policy(), ChildPath(path, "retry_policy"), diagnostics);
  route->hash =
      HashPolicies::Build(config.hash_policy(), ChildPath(path, "hash_policy"), diagnostics);
  if (config.has_internal_redirect_policy()) {
    route->internal_redirects =
        BuildInternalRedirects(config.internal_redirect_policy(),
                               ChildPath(path, "internal_redirect_policy"), diagnostics);
  }
  BuildRewrites(config, path, diagnostics, route);
  BuildUpgrades(config, path, diagnostics, route);
}

std::shared_ptr<const std::vector<MirrorPolicy>> BuildMirrors(const MirrorConfigs& configs,
                                                              const std::string& path,
                                                              Diagnostics& diagnostics,
                                                              config::Runtime* runtime) {
  if (configs.empty()) return nullptr;
  auto mirrors = std::make_shared<std::vector<MirrorPolicy>>();
  for (int i = 0; i < configs.size(); ++i) {
    const auto& config = configs[i];
    const std::string element = ElementPath(path, i);
    MirrorPolicy mirror;
    mirror.cluster = config.cluster();
    mirror.cluster_header = ToLower(config.cluster_header());
    if (mirror.cluster.empty() == mirror.cluster_header.empty())
      diagnostics.Error(element, "exactly one of cluster, cluster_header is needed");
    if (config.has_runtime_fraction()) mirror.share.emplace(config.runtime_fraction(), runtime);
    mirror.marks_host = !config.disable_shadow_host_suffix_append();
    mirror.host = config.host_rewrite_literal();
    HeaderEdits edits =
        HeaderEdits::Build(config.request_headers_mutations(),
                           ChildPath(element, "request_headers_mutations"), diagnostics);
    if (!edits.empty()) mirror.edits = std::make_shared<HeaderEdits>(std::move(edits));
    mirrors->push_back(std::move(mirror));
  }
  return mirrors;
}

Redirect BuildRedirect(const v3::RedirectAction& config, const std::string& path,
                       Diagnostics& diagnostics) {
  Redirect redirect;
  redirect.status = StatusOf(config.response_code());
  redirect.scheme = config.https_redirect() ? "https" : ToLower(config.scheme_redirect());
  redirect.host = config.host_redirect();
  redirect.port = config.port_redirect();
  if (redirect.port > 65535)
    diagnostics.Error(ChildPath(path, "port_redirect"), "is no port: at most 65535");
  redirect.strip_query = config.strip_query();
  redirect.path = config.path_redirect();
  if (!redirect.path.empty() && redirect.path.front() != '/') redirect.path.insert(0, "/");
  if (!config.prefix_rewrite().empty()) {
    redirect.rewrite.emplace();
    redirect.rewrite->prefix = config.prefix_rewrite();
  } else if (config.has_regex_rewrite()) {
    redirect.rewrite =
        BuildRegexRewrite(config.regex_rewrite(), ChildPath(path, "regex_rewrite"), diagnostics);
  }
  return redirect;
}

DirectResponse BuildDirectResponse(const v3::DirectResponseAction& config, size_t max_body,
                                   const std::string& path, Diagnostics& diagnostics) {
  DirectResponse direct;
  direct.status = static_cast<int>(config.status());
  if (config.has_body())
    direct.body = config::ReadDataSource(config.body(), ChildPath(path, "body"), diagnostics);
  if (direct.body.size() > max_body) {
    diagnostics.Error(ChildPath(path, "body"),
                      Cat("is ", direct.body.size(), " bytes long, more than the ", max_body,
                          " that max_direct_response_body_size_bytes allows"));
  }
  if (config.has_body_format()) {
    direct.format = std::make_shared<Formatter>(
        BuildFormatter(config.body_format(), ChildPath(path, "body_format"), diagnostics,
                       {.escaping = Formatter::Escaping::kNone}));
    direct.content_type = config.body_format().content_type();
    if (direct.content_type.empty())
      direct.content_type = direct.format->is_json() ? "application/json" : "text/plain";
  }
  return direct;
}

}  // namespace sluice
