// Conditions: the permissions and principals of RBAC policies, compiled into trees. Immutable, any
// thread; built on the main thread.
#pragma once

#include <memory>
#include <string>

#include "api/envoy/config/rbac/v3/rbac.pb.h"
#include "source/config/diagnostics.h"
#include "source/http/exchange.h"

namespace sluice {

/// What is asked about: a request, or a connection on which there is none yet.
struct RbacSubject {
  const ConnectionFacts& connection;
  const Address& remote;     // the client, as trusted hops say
  const RequestHead* head;   // null for a connection
  const Exchange* exchange;  // null for a connection
};

/// What the builders of this folder need to know.
struct RbacBuild {
  config::Diagnostics& diagnostics;
  bool http = true;  // false: for connections; what only a request can answer is refused

  void Error(const std::string& path, std::string_view message) const {
    diagnostics.Error(path, message);
  }
};

class Condition {
 public:
  virtual ~Condition() = default;
  /// Allocates nothing, unless a header has several fields of one name or filter state is asked.
  virtual bool Holds(const RbacSubject& subject) const = 0;
};
using ConditionPtr = std::unique_ptr<const Condition>;

/// Null when there was a problem, which is reported at or below `path`.
ConditionPtr BuildPermission(const envoy::config::rbac::v3::Permission& config,
                             const std::string& path, const RbacBuild& build);
ConditionPtr BuildPrincipal(const envoy::config::rbac::v3::Principal& config,
                            const std::string& path, const RbacBuild& build);

}  // namespace sluice
