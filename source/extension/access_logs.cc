// Main thread, while a configuration is loaded.
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
    const auto* entry =
        context.server.registry.access_loggers().Find(log.name(), log.typed_config().type_url());
    if (entry == nullptr) {
      diagnostics.Error(path, config::NotRegistered(log.name(), log.typed_config().type_url()));
      continue;
    }
    FactoryContext inner{context.server, path + ".typed_config", context.scope};
    auto logger = entry->create(log.typed_config(), inner);
    if (!logger.ok()) {
      diagnostics.Error(inner.path, Std(logger.status().message()));
      continue;
    }
    if (*logger == nullptr) continue;
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
