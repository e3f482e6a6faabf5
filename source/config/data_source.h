// Data sources: texts of a configuration that may stand in a file or in the environment. Main
// thread, while a configuration is loaded.
#pragma once

#include <string>

#include "api/envoy/config/core/v3/base.pb.h"
#include "source/config/diagnostics.h"

namespace sluice::config {

/// The text, read now. Problems are reported below `path`; the result is then empty.
std::string ReadDataSource(const envoy::config::core::v3::DataSource& source,
                           const std::string& path, Diagnostics& diagnostics);

}  // namespace sluice::config
