// See retry_config.h.
#include "source/router/retry_config.h"

#include "api/envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts.pb.h"
#include "api/envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb.h"
#include "api/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "api/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb.h"
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

// Whether that is the predicate; old configurations name it without a typed_config.
template <class Message>
bool Is(const v3::RetryPolicy::RetryHostPredicate& predicate, std::string_view name,
        Message* message) {
  if (!predicate.has_typed_config()) return predicate.name() == name;
  return predicate.typed_config().Is<Message>() && predicate.typed_config().UnpackTo(message);
}

bool AddPredicate(const v3::RetryPolicy::RetryHostPredicate& predicate, RetryHosts& hosts) {
  namespace retry = envoy::extensions::retry::host;
  retry::previous_hosts::v3::PreviousHostsPredicate previous;
  retry::omit_canary_hosts::v3::OmitCanaryHostsPredicate canary;
  retry::omit_host_metadata::v3::OmitHostMetadataConfig metadata;
  if (Is(predicate, "envoy.retry_host_predicates.previous_hosts", &previous)) {
    hosts.previous = true;
  } else if (Is(predicate, "envoy.retry_host_predicates.omit_canary_hosts", &canary)) {
    hosts.canary = true;
  } else if (Is(predicate, "envoy.retry_host_predicates.omit_host_metadata", &metadata)) {
    const auto& all = metadata.metadata_match().filter_metadata();
    const auto lb = all.find("envoy.lb");
    // Nothing would match every host.
    if (lb != all.end() && !lb->second.fields().empty()) hosts.metadata.push_back(lb->second);
  } else {
    return false;
  }
  return true;
}

void BuildPriority(const v3::RetryPolicy& config, const std::string& path, Diagnostics& diagnostics,
                   RetryPolicy* policy) {
  if (!config.has_retry_priority()) return;
  envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig previous;
  if (!config.retry_priority().typed_config().UnpackTo(&previous)) {
    diagnostics.Error(ChildPath(path, "retry_priority"),
                      Cat("unsupported ", config::Quoted(config.retry_priority().name()),
                          ": use envoy.retry_priorities.previous_priorities"));
    return;
  }
  policy->hosts.priority_frequency = static_cast<uint32_t>(previous.update_frequency());
}

void BuildHosts(const v3::RetryPolicy& config, const std::string& path, Diagnostics& diagnostics,
                RetryPolicy* policy) {
  for (int i = 0; i < config.retry_host_predicate_size(); ++i) {
    const auto& predicate = config.retry_host_predicate(i);
    if (AddPredicate(predicate, policy->hosts)) continue;
    diagnostics.Error(ElementPath(ChildPath(path, "retry_host_predicate"), i),
                      Cat("unsupported predicate ", config::Quoted(predicate.name()),
                          ": use envoy.retry_host_predicates.previous_hosts, omit_canary_hosts or "
                          "omit_host_metadata"));
  }
  const int64_t attempts = config.host_selection_retry_max_attempts();
  if (attempts < 0 || attempts > 1000) {
    diagnostics.Error(ChildPath(path, "host_selection_retry_max_attempts"),
                      "must be between 0 and 1000");
  } else if (attempts > 0) {
    policy->hosts.selections = static_cast<uint32_t>(attempts);
  }
}

}  // namespace

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
  BuildPriority(config, path, diagnostics, policy.get());
  return policy;
}

}  // namespace sluice
