// The RBAC engine: who may do what. Shared by the HTTP and the network filter. Immutable, any
// thread; built on the main thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/envoy/config/rbac/v3/rbac.pb.h"
#include "source/extension/rbac/condition.h"
#include "source/extension/rbac/match_tree.h"

namespace sluice {

class RbacEngine {
 public:
  enum class Action : uint8_t { kAllow, kDeny, kLog };

  struct Verdict {
    bool allowed = true;
    /// The policy or action that decided; -1: none did. For the tables of whoever reports it.
    int policy = -1;
    /// LOG policies only: whether one matched.
    std::optional<bool> log_hint;
  };

  /// Null when there was a problem; it is reported at or below `path`.
  static std::unique_ptr<const RbacEngine> Build(const envoy::config::rbac::v3::RBAC& config,
                                                 const std::string& path, const RbacBuild& build);
  static std::unique_ptr<const RbacEngine> Build(const MatchTree::Proto& config,
                                                 const std::string& path, const RbacBuild& build);

  /// Worker.
  Verdict Decide(const RbacSubject& subject) const;

  /// The names of the policies, by number.
  const std::vector<std::string>& names() const { return names_; }

 private:
  // One of these and one of those.
  struct Policy {
    std::vector<ConditionPtr> permissions;
    std::vector<ConditionPtr> principals;
  };

  std::vector<std::string> names_;
  // Of rules.
  Action action_ = Action::kAllow;
  std::vector<Policy> policies_;  // in the order of their names
  // Of a matcher.
  std::unique_ptr<const MatchTree> tree_;
  std::vector<Action> actions_;
};

}  // namespace sluice
