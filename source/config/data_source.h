// Data sources: texts of a configuration that may stand in a file or in the environment. Main
// thread, while a configuration is loaded.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "api/envoy/config/core/v3/base.pb.h"
#include "source/config/diagnostics.h"

namespace sluice::config {

/// The text, read now. `max_bytes`: the longest file that is taken. Errors say what is wrong with
/// the member that is set (see DataSourcePath), or that none is.
absl::StatusOr<std::string> ReadDataSource(const envoy::config::core::v3::DataSource& source,
                                           uint64_t max_bytes = UINT64_MAX);

/// Where the member that is set stands, below `path`.
std::string DataSourcePath(const envoy::config::core::v3::DataSource& source,
                           std::string_view path);

/// The text, read now; empty where no member is set. Problems are reported below `path`; the result
/// is then empty.
std::string ReadDataSource(const envoy::config::core::v3::DataSource& source,
                           const std::string& path, Diagnostics& diagnostics);

}  // namespace sluice::config
