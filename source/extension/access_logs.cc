// The loggers of one list of access logs, each with its filter. Main thread, while a configuration
// is loaded.
#include "source/extension/access_logs.h"

#include "source/observe/access_log/access_log_config.h"

namespace sluice {

std::vector<AccessLoggerPtr> BuildAccessLogs(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& logs,
    FactoryContext& context, std::string_view field) {
  std::vector<AccessLoggerPtr> loggers;
  config::Diagnostics& diagnostics = context.server.diagnostics;
  for (int i = 0; i < logs.size(); ++i) {
    const auto& log = logs[i];
    const std::string path = Cat(context.path, context.path.empty() ? "" : ".", field, "[", i, "]");
    auto logger = BuildExtension(context.server.registry.access_loggers(), log, path,
                                 context.server, context.scope);
    if (!logger.has_value() || *logger == nullptr) continue;
    if (log.has_filter()) {
      auto filter =
          BuildAccessLogFilter(log.filter(), path + ".filter", diagnostics, context.server.runtime);
      if (filter == nullptr) continue;
      loggers.push_back(
          std::make_shared<FilteredAccessLogger>(std::move(filter), *std::move(logger)));
    } else {
      loggers.push_back(*std::move(logger));
    }
  }
  return loggers;
}

}  // namespace sluice
