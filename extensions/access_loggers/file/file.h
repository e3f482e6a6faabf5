// envoy.access_loggers.file: an access log in a file, FIFO or device. Built on the main thread,
// logs on the workers.
#pragma once

#include "absl/status/statusor.h"
#include "api/envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "source/extension/registry.h"

namespace sluice {

/// The logger of one message. A format that cannot be used is reported to the context's
/// diagnostics; a file that cannot be opened is the error.
absl::StatusOr<AccessLoggerPtr> CreateFileAccessLogger(
    const envoy::extensions::access_loggers::file::v3::FileAccessLog& config,
    FactoryContext& context);

/// Makes the logger known.
void RegisterFileAccessLogger(Registry& registry);

}  // namespace sluice
