// Retry policies from configuration. Main thread, while a configuration is loaded.
#include "api/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "source/base/strings.h"
#include "source/router/route_action.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::route::v3;
using config::ChildPath;
using config::Diagnostics;
using config::ElementPath;
using config::ToDuration;

void BuildBackOff(const v3::RetryPolicy& config, const std::string& path, Diagnostics& diagnostics,
                  RetryPolicy* policy) {
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
  const auto& limited = config.rate_limited_retry_back_off();
  for (const auto& header : limited.reset_headers()) {
    policy->reset_headers.push_back(
        {ToLower(header.name()), header.format() == v3::RetryPolicy::UNIX_TIMESTAMP});
  }
  if (limited.has_max_interval()) policy->max_reset = ToDuration(limited.max_interval());
}

void BuildHosts(const v3::RetryPolicy& config, const std::string& path, Diagnostics& diagnostics,
                RetryPolicy* policy) {
  for (int i = 0; i < config.retry_host_predicate_size(); ++i) {
    const auto& predicate = config.retry_host_predicate(i);
    // Old configurations name it without a typed_config.
    using Previous = envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
    const bool previous = predicate.has_typed_config()
                              ? predicate.typed_config().Is<Previous>()
                              : predicate.name() == "envoy.retry_host_predicates.previous_hosts";
    if (previous) {
      policy->avoid_previous_hosts = true;
    } else {
      diagnostics.Error(ElementPath(ChildPath(path, "retry_host_predicate"), i),
                        Cat("unsupported predicate ", config::Quoted(predicate.name()),
                            ": use envoy.retry_host_predicates.previous_hosts"));
    }
  }
  const int64_t attempts = config.host_selection_retry_max_attempts();
  if (attempts < 0 || attempts > 1000) {
    diagnostics.Error(ChildPath(path, "host_selection_retry_max_attempts"),
                      "must be between 0 and 1000");
  } else if (attempts > 0) {
    policy->host_selections = static_cast<uint32_t>(attempts);
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

std::shared_ptr<const RetryPolicy> BuildRetry(const v3::RetryPolicy& config,
                                              const std::string& path, Diagnostics& diagnostics) {
  auto policy = std::make_shared<RetryPolicy>();
  std::string unknown;
  policy->on = ParseRetryOn(config.retry_on(), &unknown);
  if (!unknown.empty()) {
    diagnostics.Error(ChildPath(path, "retry_on"),
                      Cat("unknown or unsupported condition ", config::Quoted(unknown)),
                      config::Nearest(unknown, RetryWords()));
  }
  if (config.has_num_retries()) policy->max_retries = config.num_retries().value();
  if (config.has_per_try_timeout()) policy->per_try_timeout = ToDuration(config.per_try_timeout());
  if (config.has_per_try_idle_timeout())
    policy->per_try_idle_timeout = ToDuration(config.per_try_idle_timeout());
  policy->status_codes.assign(config.retriable_status_codes().begin(),
                              config.retriable_status_codes().end());
  policy->headers =
      BuildMatchers(config.retriable_headers(), ChildPath(path, "retriable_headers"), diagnostics);
  policy->only_requests = BuildMatchers(config.retriable_request_headers(),
                                        ChildPath(path, "retriable_request_headers"), diagnostics);
  BuildBackOff(config, path, diagnostics, policy.get());
  BuildHosts(config, path, diagnostics, policy.get());
  return policy;
}

}  // namespace sluice
