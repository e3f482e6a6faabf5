// The factory of file access logs. Main thread.
#include "extensions/access_loggers/file/file.h"

#include "source/base/strings.h"
#include "source/observe/access_log/access_log_config.h"

namespace sluice {
namespace {

using envoy::extensions::access_loggers::file::v3::FileAccessLog;

Formatter Checked(absl::StatusOr<Formatter> formatter, std::string_view field,
                  FactoryContext& context) {
  if (!formatter.ok()) {
    context.Error(field, Std(formatter.status().message()));
    return *Formatter::FromText("");
  }
  return *std::move(formatter);
}

Formatter FormatOf(const FileAccessLog& config, FactoryContext& context) {
  switch (config.access_log_format_case()) {
    case FileAccessLog::kFormat:
      // An empty one means the default, as it did when this was the only field.
      return Checked(
          Formatter::FromText(config.format().empty() ? kDefaultLogFormat : config.format()),
          "format", context);
    case FileAccessLog::kJsonFormat:
      return Checked(Formatter::FromJson(config.json_format()), "json_format", context);
    case FileAccessLog::kTypedJsonFormat:
      return Checked(Formatter::FromJson(config.typed_json_format()), "typed_json_format", context);
    case FileAccessLog::kLogFormat:
      return BuildLogFormatter(&config.log_format(), config::ChildPath(context.path, "log_format"),
                               context.server.diagnostics);
    case FileAccessLog::ACCESS_LOG_FORMAT_NOT_SET:
      break;
  }
  return BuildLogFormatter(nullptr, context.path, context.server.diagnostics);
}

}  // namespace

absl::StatusOr<AccessLoggerPtr> CreateFileAccessLogger(const FileAccessLog& config,
                                                       FactoryContext& context) {
  Formatter formatter = FormatOf(config, context);
  absl::StatusOr<std::shared_ptr<AccessLogFile>> file =
      context.server.access_logs.Open(config.path());
  if (!file.ok()) {
    return file.status();
  }
  return std::make_shared<FileAccessLogger>(std::move(formatter), *std::move(file));
}

void RegisterFileAccessLogger(Registry& registry) {
  registry.AddAccessLogger<FileAccessLog>("envoy.access_loggers.file", CreateFileAccessLogger);
}

}  // namespace sluice
