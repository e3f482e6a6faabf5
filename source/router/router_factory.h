// Registers envoy.filters.http.router. Main thread.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// Makes the filter known.
void RegisterRouter(Registry& registry);

}  // namespace sluice
