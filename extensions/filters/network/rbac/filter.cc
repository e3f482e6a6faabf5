// The RBAC filter of connections. Worker threads, but for what is built.
#include "extensions/filters/network/rbac/filter.h"

#include "absl/strings/str_replace.h"
#include "source/config/durations.h"

namespace sluice {
namespace {

// The scope of a configured prefix, which may end in dots; `tag`: of which it is the value, or
// empty.
stats::Scope ScopeOf(std::string_view prefix, std::string_view tag, const stats::Scope& scope) {
  while (prefix.ends_with('.')) prefix.remove_suffix(1);
  return prefix.empty() ? scope : scope.Sub(prefix, tag);
}

stats::Scope RbacScope(const NetworkRbac::Proto& config, FactoryContext& context) {
  return ScopeOf(config.stat_prefix(), stats::tag::kRbacPrefix, context.server.stats.Root())
      .Sub("rbac");
}

}  // namespace

NetworkRbacStats::NetworkRbacStats(const stats::Scope& scope, const stats::Scope& shadow)
    : allowed(scope.counter("allowed")),
      denied(scope.counter("denied")),
      shadow_allowed(shadow.counter("shadow_allowed")),
      shadow_denied(shadow.counter("shadow_denied")) {}

NetworkRbac::NetworkRbac(const Proto& config, FactoryContext& context)
    : stats_(RbacScope(config, context),
             ScopeOf(config.shadow_rules_stat_prefix(), "", RbacScope(config, context))),
      delay_deny_(config::ToDuration(config.delay_deny())) {
  const RbacBuild build{context.server.diagnostics, false};
  const std::string& path = context.path;
  if (config.has_matcher()) {
    enforced_ = RbacEngine::Build(config.matcher(), path + ".matcher", build);
  } else if (config.has_rules()) {
    enforced_ = RbacEngine::Build(config.rules(), path + ".rules", build);
  }
  if (config.has_shadow_matcher()) {
    shadow_ = RbacEngine::Build(config.shadow_matcher(), path + ".shadow_matcher", build);
  } else if (config.has_shadow_rules()) {
    shadow_ = RbacEngine::Build(config.shadow_rules(), path + ".shadow_rules", build);
  }
}

Task<> NetworkRbac::Handle(Connection& connection, NetworkNext next) const {
  const RbacSubject subject{connection.facts, connection.facts.direct_remote(), nullptr, nullptr};
  if (shadow_ != nullptr)
    (shadow_->Decide(subject).allowed ? stats_.shadow_allowed : stats_.shadow_denied).Add();
  if (enforced_ == nullptr) return next(connection);
  const RbacEngine::Verdict verdict = enforced_->Decide(subject);
  (verdict.allowed ? stats_.allowed : stats_.denied).Add();
  if (verdict.allowed) return next(connection);
  std::string policy = "none";
  if (verdict.policy >= 0) policy = enforced_->names()[static_cast<size_t>(verdict.policy)];
  return Deny(
      connection, next,
      Cat("rbac_access_denied_matched_policy[", absl::StrReplaceAll(policy, {{" ", "_"}}), "]"),
      delay_deny_);
}

Task<> NetworkRbac::Deny(Connection& connection, NetworkNext next, std::string details,
                         Duration delay) {
  if (delay > Duration::zero()) (void)co_await Sleep(delay);
  next.Refuse(connection,
              {.local_close_reason = "rbac_deny_close", .termination_details = std::move(details)});
}

void RegisterNetworkRbac(Registry& registry) {
  registry.AddNetworkFilter<NetworkRbac::Proto>(
      "envoy.filters.network.rbac", Posture::kRobustToUntrustedBoth,
      [](const NetworkRbac::Proto& config,
         FactoryContext& context) -> absl::StatusOr<NetworkFilterPtr> {
        return std::make_unique<NetworkRbac>(config, context);
      });
}

}  // namespace sluice
