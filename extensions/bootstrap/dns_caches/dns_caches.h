// sluice.bootstrap.dns_caches: settings of DNS caches that Envoy's message has no field for. Main
// thread.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// Makes the extension known.
void RegisterDnsCaches(Registry& registry);

}  // namespace sluice
