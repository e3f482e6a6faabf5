// Deciding. See engine.h for threads.
#include "source/extension/rbac/engine.h"

#include <algorithm>
#include <map>

#include "source/base/strings.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::rbac::v3;

RbacEngine::Action ActionOf(v3::RBAC::Action action) {
  if (action == v3::RBAC::DENY) return RbacEngine::Action::kDeny;
  return action == v3::RBAC::LOG ? RbacEngine::Action::kLog : RbacEngine::Action::kAllow;
}

bool AnyHolds(const std::vector<ConditionPtr>& conditions, const RbacSubject& subject) {
  return std::any_of(conditions.begin(), conditions.end(),
                     [&](const ConditionPtr& one) { return one->Holds(subject); });
}

}  // namespace

std::unique_ptr<const RbacEngine> RbacEngine::Build(const v3::RBAC& config, const std::string& path,
                                                    const RbacBuild& build) {
  auto engine = std::make_unique<RbacEngine>();
  engine->action_ = ActionOf(config.action());
  bool good = true;
  std::map<std::string, const v3::Policy*> sorted;
  for (const auto& [name, policy] : config.policies()) sorted.emplace(name, &policy);
  for (const auto& [name, from] : sorted) {
    const std::string policy_path = config::EntryPath(path + ".policies", name);
    Policy policy;
    for (int i = 0; i < from->permissions_size(); ++i) {
      policy.permissions.push_back(
          BuildPermission(from->permissions(i), Cat(policy_path, ".permissions[", i, "]"), build));
      good = good && policy.permissions.back() != nullptr;
    }
    for (int i = 0; i < from->principals_size(); ++i) {
      policy.principals.push_back(
          BuildPrincipal(from->principals(i), Cat(policy_path, ".principals[", i, "]"), build));
      good = good && policy.principals.back() != nullptr;
    }
    engine->names_.push_back(name);
    engine->policies_.push_back(std::move(policy));
  }
  if (!good) return nullptr;
  return engine;
}

std::unique_ptr<const RbacEngine> RbacEngine::Build(const MatchTree::Proto& config,
                                                    const std::string& path,
                                                    const RbacBuild& build) {
  auto engine = std::make_unique<RbacEngine>();
  const auto add_action = [&](const xds::core::v3::TypedExtensionConfig& from,
                              const std::string& action_path) -> std::optional<uint32_t> {
    v3::Action action;
    if (!from.typed_config().Is<v3::Action>() || !from.typed_config().UnpackTo(&action)) {
      build.Error(action_path, "the only action here is envoy.config.rbac.v3.Action");
      return std::nullopt;
    }
    // An action that stands in several places is one policy.
    const Action what = ActionOf(action.action());
    for (uint32_t i = 0; i < engine->names_.size(); ++i) {
      if (engine->names_[i] == action.name() && engine->actions_[i] == what) return i;
    }
    engine->names_.push_back(action.name());
    engine->actions_.push_back(what);
    return static_cast<uint32_t>(engine->names_.size() - 1);
  };
  engine->tree_ = MatchTree::Build(config, path, build, add_action);
  if (engine->tree_ == nullptr) return nullptr;
  return engine;
}

RbacEngine::Verdict RbacEngine::Decide(const RbacSubject& subject) const {
  Verdict verdict;
  if (tree_ != nullptr) {
    const auto found = tree_->Find(subject);
    if (!found.has_value()) {
      verdict.allowed = false;
      return verdict;
    }
    verdict.policy = static_cast<int>(*found);
    verdict.allowed = actions_[*found] != Action::kDeny;
    if (actions_[*found] == Action::kLog) verdict.log_hint = true;
    return verdict;
  }
  for (size_t i = 0; i < policies_.size() && verdict.policy < 0; ++i) {
    if (AnyHolds(policies_[i].permissions, subject) && AnyHolds(policies_[i].principals, subject))
      verdict.policy = static_cast<int>(i);
  }
  const bool matched = verdict.policy >= 0;
  if (action_ == Action::kLog) {
    verdict.log_hint = matched;
  } else {
    verdict.allowed = matched == (action_ == Action::kAllow);
  }
  return verdict;
}

}  // namespace sluice
