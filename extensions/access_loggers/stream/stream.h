// envoy.access_loggers.stdout and .stderr: an access log on a standard stream. Built on the main
// thread, logs on the workers.
#pragma once

#include "absl/status/statusor.h"
#include "api/envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "source/extension/registry.h"

namespace sluice {

/// The logger of one message. A format that cannot be used is reported to the context's
/// diagnostics.
absl::StatusOr<AccessLoggerPtr> CreateStdoutAccessLogger(
    const envoy::extensions::access_loggers::stream::v3::StdoutAccessLog& config,
    FactoryContext& context);
absl::StatusOr<AccessLoggerPtr> CreateStderrAccessLogger(
    const envoy::extensions::access_loggers::stream::v3::StderrAccessLog& config,
    FactoryContext& context);

/// Makes the two loggers known.
void RegisterStreamAccessLoggers(Registry& registry);

}  // namespace sluice
