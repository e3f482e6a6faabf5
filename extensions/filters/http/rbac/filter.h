// RBAC (envoy.filters.http.rbac): refuses requests that no policy allows, or that one denies.
// Immutable, shared by all workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/struct.pb.h>

#include "api/envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "source/extension/rbac/engine.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"

namespace sluice {

/// One engine with everything that its verdicts are told by, made before a request comes.
class RbacJudge {
 public:
  using Struct = google::protobuf::Struct;

  /// `scope`: http.<prefix>.rbac[.<rules prefix>]. `kind`: "" or "shadow_". `prefix`: of the
  /// dynamic metadata. `per_rule`: count each policy as well.
  RbacJudge(std::unique_ptr<const RbacEngine> engine, const stats::Scope& scope,
            const std::string& kind, const std::string& prefix, bool per_rule);

  /// Worker: decides, counts, and leaves the dynamic metadata on the exchange.
  RbacEngine::Verdict Judge(const RbacSubject& subject, Exchange& exchange) const;

  /// rbac_access_denied_matched_policy[...]
  const std::string& DeniedDetails(const RbacEngine::Verdict& verdict) const {
    return outcomes_[Index(verdict)].denied_details;
  }

 private:
  struct Outcome {  // of one policy; the last one is that of none
    std::string denied_details;
    Counter allowed, denied;  // per rule, or discarded
    Struct allowed_metadata, denied_metadata;
  };
  size_t Index(const RbacEngine::Verdict& verdict) const {
    return verdict.policy < 0 ? outcomes_.size() - 1 : static_cast<size_t>(verdict.policy);
  }

  const std::unique_ptr<const RbacEngine> engine_;
  const Counter allowed_, denied_;
  std::vector<Outcome> outcomes_;
};

/// One RBAC message: the filter's own or that of a route.
struct RbacRules {
  std::unique_ptr<const RbacJudge> enforced;  // null: everything may pass
  std::unique_ptr<const RbacJudge> shadow;    // null: none

  /// Main thread. Problems are reported at and below `path`.
  static RbacRules Build(const envoy::extensions::filters::http::rbac::v3::RBAC& config,
                         const std::string& path, FactoryContext& context);
};

class RbacFilter final : public Filter {
 public:
  explicit RbacFilter(RbacRules own) : own_(std::move(own)) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  const RbacRules own_;
};

/// Makes the filter known.
void RegisterRbac(Registry& registry);

}  // namespace sluice
