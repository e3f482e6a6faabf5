// Bootstrap.stats_config as settings of the store. Main thread, while a configuration is loaded.
#pragma once

#include <string_view>

#include "api/envoy/config/metrics/v3/stats.pb.h"
#include "source/config/diagnostics.h"
#include "source/observe/stats/stats_settings.h"

namespace sluice::stats {

/// Problems are reported at and below `path`; what is wrong is then left out.
StoreSettings BuildStoreSettings(const envoy::config::metrics::v3::StatsConfig& config,
                                 std::string_view path, config::Diagnostics& diagnostics);

}  // namespace sluice::stats
