// sluice.bootstrap.egress_guard: the egress guard of the whole process. Main thread, while the
// configuration is loaded.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// Makes the extension known.
void RegisterEgressGuard(Registry& registry);

}  // namespace sluice
