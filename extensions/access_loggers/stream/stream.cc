// The factories of access logs on standard streams. Main thread.
#include "extensions/access_loggers/stream/stream.h"

#include "source/observe/access_log/access_log_config.h"

namespace sluice {
namespace {

using envoy::extensions::access_loggers::stream::v3::StderrAccessLog;
using envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;

template <class Config>
absl::StatusOr<AccessLoggerPtr> Create(const Config& config, std::string_view path,
                                       FactoryContext& context) {
  Formatter formatter =
      BuildLogFormatter(config.has_log_format() ? &config.log_format() : nullptr,
                        config::ChildPath(context.path, "log_format"), context.server.diagnostics);
  absl::StatusOr<std::shared_ptr<AccessLogFile>> file = context.server.access_logs.Open(path);
  if (!file.ok()) {
    return file.status();
  }
  return std::make_shared<FileAccessLogger>(std::move(formatter), *std::move(file));
}

}  // namespace

absl::StatusOr<AccessLoggerPtr> CreateStdoutAccessLogger(const StdoutAccessLog& config,
                                                         FactoryContext& context) {
  return Create(config, "/dev/stdout", context);
}

absl::StatusOr<AccessLoggerPtr> CreateStderrAccessLogger(const StderrAccessLog& config,
                                                         FactoryContext& context) {
  return Create(config, "/dev/stderr", context);
}

void RegisterStreamAccessLoggers(Registry& registry) {
  registry.AddAccessLogger<StdoutAccessLog>("envoy.access_loggers.stdout",
                                            CreateStdoutAccessLogger);
  registry.AddAccessLogger<StderrAccessLog>("envoy.access_loggers.stderr",
                                            CreateStderrAccessLogger);
}

}  // namespace sluice
