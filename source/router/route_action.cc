// Compiling route actions. Main thread, while a configuration is loaded.
#include "source/router/route_action.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "source/base/strings.h"
#include "source/observe/match.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::route::v3;
using config::ChildPath;
using config::Diagnostics;
using config::ElementPath;

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

std::shared_ptr<const RetryPolicy> BuildRetry(const v3::RetryPolicy& config,
                                              const std::string& path, Diagnostics& diagnostics) {
  auto policy = std::make_shared<RetryPolicy>();
  std::string unknown;
  policy->on = ParseRetryOn(config.retry_on(), &unknown);
  if (!unknown.empty()) {
    diagnostics.Error(
        ChildPath(path, "retry_on"),
        Cat("unknown or unsupported condition ", config::Quoted(unknown)),
        config::Nearest(unknown, {"5xx", "gateway-error", "reset", "connect-failure",
                                  "retriable-4xx", "retriable-status-codes", "refused-stream"}));
  }
  if (config.has_num_retries()) policy->max_retries = config.num_retries().value();
  if (config.has_per_try_timeout()) policy->per_try_timeout = ToDuration(config.per_try_timeout());
  policy->status_codes.assign(config.retriable_status_codes().begin(),
                              config.retriable_status_codes().end());
  if (config.has_retry_back_off()) {
    const auto& back_off = config.retry_back_off();
    policy->base_interval = ToDuration(back_off.base_interval());
    policy->max_interval = back_off.has_max_interval() ? ToDuration(back_off.max_interval())
                                                       : 10 * policy->base_interval;
    if (policy->max_interval < policy->base_interval) {
      diagnostics.Error(ChildPath(ChildPath(path, "retry_back_off"), "max_interval"),
                        "is shorter than base_interval");
    }
  }
  return policy;
}

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

void BuildRewrites(const v3::RouteAction& config, const std::string& path, Diagnostics& diagnostics,
                   Route* route) {
  if (!config.prefix_rewrite().empty()) {
    route->rewrite.emplace();
    route->rewrite->prefix = config.prefix_rewrite();
    if (config.has_regex_rewrite()) {
      diagnostics.Error(ChildPath(path, "prefix_rewrite"),
                        "prefix_rewrite and regex_rewrite exclude each other");
    }
  } else if (config.has_regex_rewrite()) {
    route->rewrite =
        BuildRegexRewrite(config.regex_rewrite(), ChildPath(path, "regex_rewrite"), diagnostics);
  }
  route->host_literal = config.host_rewrite_literal();
  route->host_header = ToLower(config.host_rewrite_header());
  route->auto_host = config.auto_host_rewrite().value();
  route->append_x_forwarded_host = config.append_x_forwarded_host();
}

std::string ReadSource(const envoy::config::core::v3::DataSource& source, const std::string& path,
                       Diagnostics& diagnostics) {
  using Source = envoy::config::core::v3::DataSource;
  switch (source.specifier_case()) {
    case Source::kFilename: {
      std::ifstream file(source.filename(), std::ios::binary);
      if (!file)
        diagnostics.Error(ChildPath(path, "filename"),
                          Cat("cannot read ", config::Quoted(source.filename())));
      return {std::istreambuf_iterator<char>(file), {}};
    }
    case Source::kInlineBytes:
      return source.inline_bytes();
    case Source::kInlineString:
      return source.inline_string();
    case Source::kEnvironmentVariable: {
      const char* value = std::getenv(source.environment_variable().c_str());
      if (value != nullptr) return value;
      diagnostics.Error(
          ChildPath(path, "environment_variable"),
          Cat("there is no environment variable ", config::Quoted(source.environment_variable())));
      return {};
    }
    case Source::SPECIFIER_NOT_SET:
      break;
  }
  return {};
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

void BuildForward(const v3::RouteAction& config, const std::string& path, Diagnostics& diagnostics,
                  Route* route) {
  route->action = Route::Action::kForward;
  route->cluster_not_found_status = StatusOf(config.cluster_not_found_response_code());
  route->high_priority = config.priority() == envoy::config::core::v3::HIGH;
  if (config.has_timeout()) route->timeout = ToDuration(config.timeout());
  route->timeout_text = Cat(Milliseconds(route->timeout));
  if (config.has_idle_timeout()) route->idle_timeout = ToDuration(config.idle_timeout());
  if (config.max_stream_duration().has_max_stream_duration()) {
    route->max_stream_duration = ToDuration(config.max_stream_duration().max_stream_duration());
  }
  if (config.has_retry_policy())
    route->retry = BuildRetry(config.retry_policy(), ChildPath(path, "retry_policy"), diagnostics);
  BuildRewrites(config, path, diagnostics, route);
  BuildUpgrades(config, path, diagnostics, route);
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
  if (config.path_rewrite_specifier_case() == v3::RedirectAction::kPrefixRewrite) {
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
    direct.body = ReadSource(config.body(), ChildPath(path, "body"), diagnostics);
  if (direct.body.size() > max_body) {
    diagnostics.Error(ChildPath(path, "body"),
                      Cat("is ", direct.body.size(), " bytes long, more than the ", max_body,
                          " that max_direct_response_body_size_bytes allows"));
  }
  return direct;
}

}  // namespace sluice
