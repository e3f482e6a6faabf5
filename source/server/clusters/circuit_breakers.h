// Circuit breakers from their configuration. Main thread, while a configuration is loaded.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// Reads the cluster's circuit_breakers into its settings: thresholds and per_host_thresholds.
void ReadCircuitBreakers(ClusterFactoryContext& context);

}  // namespace sluice
