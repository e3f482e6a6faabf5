// The RBAC filter. Worker threads, but for what is built.
#include "extensions/filters/http/rbac/filter.h"

#include "absl/strings/str_replace.h"
#include "source/http/reply.h"

namespace sluice {
namespace {

namespace v3 = envoy::extensions::filters::http::rbac::v3;

constexpr std::string_view kDenied = "RBAC: access denied";
constexpr std::string_view kMetadata = "envoy.filters.http.rbac";
constexpr std::string_view kCommonMetadata = "envoy.common";
constexpr std::string_view kPrefixTag = "envoy.rbac_http_prefix";
constexpr std::string_view kPolicyTag = "envoy.rbac_policy_name";

google::protobuf::Struct Metadata(const std::string& prefix, std::string_view kind,
                                  const std::string* policy, bool allowed) {
  google::protobuf::Struct out;
  auto& fields = *out.mutable_fields();
  if (policy != nullptr) fields[Cat(prefix, kind, "effective_policy_id")].set_string_value(*policy);
  fields[Cat(prefix, kind, "engine_result")].set_string_value(allowed ? "allowed" : "denied");
  return out;
}

// What LOG policies say, for the access log.
const google::protobuf::Struct& Hint(bool value) {
  static const auto* const hints = [] {
    auto* made = new google::protobuf::Struct[2];
    for (int i = 0; i < 2; ++i)
      (*made[i].mutable_fields())["access_log_hint"].set_bool_value(i == 1);
    return made;
  }();
  return hints[value ? 1 : 0];
}

stats::Scope Below(const stats::Scope& scope, std::string_view prefix) {
  while (prefix.ends_with('.')) prefix.remove_suffix(1);
  return prefix.empty() ? scope : scope.Sub(prefix, kPrefixTag);
}

}  // namespace

RbacJudge::RbacJudge(std::unique_ptr<const RbacEngine> engine, const stats::Scope& scope,
                     const std::string& kind, const std::string& prefix, bool per_rule)
    : engine_(std::move(engine)),
      allowed_(scope.counter(kind + "allowed")),
      denied_(scope.counter(kind + "denied")) {
  const std::string metadata_kind = kind.empty() ? "enforced_" : kind;
  const auto add = [&](const std::string* policy) {
    Outcome outcome;
    outcome.denied_details =
        Cat("rbac_access_denied_matched_policy[",
            policy == nullptr ? "none" : absl::StrReplaceAll(*policy, {{" ", "_"}}), "]");
    if (per_rule && policy != nullptr) {
      const stats::Scope below = scope.Sub("policy").Sub(*policy, kPolicyTag);
      outcome.allowed = below.counter(kind + "allowed");
      outcome.denied = below.counter(kind + "denied");
    }
    outcome.allowed_metadata = Metadata(prefix, metadata_kind, policy, true);
    outcome.denied_metadata = Metadata(prefix, metadata_kind, policy, false);
    outcomes_.push_back(std::move(outcome));
  };
  for (const std::string& name : engine_->names()) add(&name);
  add(nullptr);
}

RbacEngine::Verdict RbacJudge::Judge(const RbacSubject& subject, Exchange& exchange) const {
  const RbacEngine::Verdict verdict = engine_->Decide(subject);
  const Outcome& outcome = outcomes_[Index(verdict)];
  (verdict.allowed ? allowed_ : denied_).Add();
  (verdict.allowed ? outcome.allowed : outcome.denied).Add();
  exchange.AddMetadata(kMetadata,
                       verdict.allowed ? outcome.allowed_metadata : outcome.denied_metadata);
  return verdict;
}

RbacRules RbacRules::Build(const v3::RBAC& config, const std::string& path,
                           FactoryContext& context) {
  const RbacBuild build{context.server.diagnostics};
  const stats::Scope scope = context.scope.Sub("rbac");
  const stats::Scope enforced_scope = Below(scope, config.rules_stat_prefix());
  const stats::Scope shadow_scope = Below(scope, config.shadow_rules_stat_prefix());
  // They are there, as in Envoy, whether or not there are rules.
  for (const std::string_view word : {"allowed", "denied"}) {
    enforced_scope.counter(word);
    shadow_scope.counter(Cat("shadow_", word));
  }
  std::unique_ptr<const RbacEngine> enforced, shadow;
  if (config.has_matcher()) {
    enforced = RbacEngine::Build(config.matcher(), path + ".matcher", build);
  } else if (config.has_rules()) {
    enforced = RbacEngine::Build(config.rules(), path + ".rules", build);
  }
  if (config.has_shadow_matcher()) {
    shadow = RbacEngine::Build(config.shadow_matcher(), path + ".shadow_matcher", build);
  } else if (config.has_shadow_rules()) {
    shadow = RbacEngine::Build(config.shadow_rules(), path + ".shadow_rules", build);
  }
  RbacRules rules;
  const bool per_rule = config.track_per_rule_stats();
  if (enforced != nullptr) {
    rules.enforced = std::make_unique<RbacJudge>(std::move(enforced), enforced_scope, "",
                                                 config.rules_stat_prefix(), per_rule);
  }
  if (shadow != nullptr) {
    rules.shadow = std::make_unique<RbacJudge>(std::move(shadow), shadow_scope, "shadow_",
                                               config.shadow_rules_stat_prefix(), per_rule);
  }
  return rules;
}

Task<Response> RbacFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const RbacRules* route = next.RouteConfig<RbacRules>();
  const RbacRules& rules = route != nullptr ? *route : own_;
  const RbacSubject subject{exchange.connection(), exchange.remote_address(), request.head,
                            &exchange};
  if (rules.shadow != nullptr) rules.shadow->Judge(subject, exchange);
  if (rules.enforced == nullptr) return next(std::move(request));
  const RbacEngine::Verdict verdict = rules.enforced->Judge(subject, exchange);
  if (verdict.log_hint.has_value()) exchange.AddMetadata(kCommonMetadata, Hint(*verdict.log_hint));
  if (verdict.allowed) return next(std::move(request));
  return Answered(Refusal(exchange, 403, kDenied, rules.enforced->DeniedDetails(verdict)));
}

void RegisterRbac(Registry& registry) {
  registry.AddHttpFilter<v3::RBAC, v3::RBACPerRoute>(
      "envoy.filters.http.rbac", Posture::kRobustToUntrustedBoth,
      [](const v3::RBAC& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        return std::make_unique<RbacFilter>(RbacRules::Build(config, context.path, context));
      },
      [](const v3::RBACPerRoute& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const RbacRules>> {
        return std::make_shared<const RbacRules>(
            RbacRules::Build(config.rbac(), context.path + ".rbac", context));
      });
}

}  // namespace sluice
