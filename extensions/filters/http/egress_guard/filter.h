// sluice.filters.http.egress_guard: the egress guard of one chain, virtual host or route.
// Immutable; shared by all workers.
#pragma once

#include "source/extension/registry.h"
#include "source/upstream/egress/egress_guard.h"

namespace sluice {

class EgressGuardFilter final : public Filter {
 public:
  explicit EgressGuardFilter(std::shared_ptr<const EgressGuard> guard) : guard_(std::move(guard)) {}

  /// Only says which policy holds; the dynamic forward proxy cluster, which knows the addresses,
  /// applies it.
  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  const std::shared_ptr<const EgressGuard> guard_;
};

/// Makes the filter known.
void RegisterEgressGuardFilter(Registry& registry);

}  // namespace sluice
