// Health checks from their configuration. Main thread, while a configuration is loaded.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// What the cluster's health_checks say; null where there are none, or after a problem, which is
/// reported.
std::shared_ptr<const HealthCheckSettings> BuildHealthCheck(ClusterFactoryContext& context);

}  // namespace sluice
