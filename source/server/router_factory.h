// Registers envoy.filters.http.router. Main thread.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

void RegisterRouter(Registry& registry);

}  // namespace sluice
