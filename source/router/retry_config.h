// Retry policies from configuration. Main thread, while a configuration is loaded.
#pragma once

#include <memory>
#include <string>

#include "api/envoy/config/route/v3/route_components.pb.h"
#include "source/config/diagnostics.h"
#include "source/router/retry.h"

namespace sluice {

/// Problems are reported at and below `path`.
std::shared_ptr<const RetryPolicy> BuildRetry(const envoy::config::route::v3::RetryPolicy& config,
                                              const std::string& path,
                                              config::Diagnostics& diagnostics);

}  // namespace sluice
