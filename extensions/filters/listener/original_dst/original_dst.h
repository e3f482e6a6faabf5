// envoy.filters.listener.original_dst: a connection that iptables has redirected here counts as one
// to the address that its client meant. Immutable.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// Makes the filter known.
void RegisterOriginalDst(Registry& registry);

}  // namespace sluice
