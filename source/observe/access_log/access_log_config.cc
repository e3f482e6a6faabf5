// Formats of access logs from configuration. Main thread.
#include "source/observe/access_log/access_log_config.h"

#include "source/observe/format/formatter_config.h"

namespace sluice {

using envoy::config::core::v3::SubstitutionFormatString;

Formatter BuildLogFormatter(const SubstitutionFormatString* config, std::string_view path,
                            config::Diagnostics& diagnostics) {
  if (config == nullptr) {
    return *Formatter::FromText(kDefaultLogFormat);
  }
  if (!config->content_type().empty()) {
    diagnostics.Warning(config::ChildPath(path, "content_type"), "has no effect in an access log");
  }
  return BuildFormatter(*config, path, diagnostics);
}

}  // namespace sluice
