// Access logs from configuration: their format and filters. Main thread, while a configuration is
// loaded.
#pragma once

#include <string_view>

#include "api/envoy/config/accesslog/v3/accesslog.pb.h"
#include "api/envoy/config/core/v3/substitution_format_string.pb.h"
#include "source/config/diagnostics.h"
#include "source/config/runtime.h"
#include "source/observe/access_log/access_log.h"
#include "source/observe/format/formatter.h"

namespace sluice {

/// The format of an access log: `config` (its path: `path`), or Envoy's default when it is null.
Formatter BuildLogFormatter(const envoy::config::core::v3::SubstitutionFormatString* config,
                            std::string_view path, config::Diagnostics& diagnostics);

/// The filter of an access log. Problems are reported at and below `path`; the result is then null.
/// `runtime`: for fields with a runtime key; null: they keep their defaults.
AccessLogFilterPtr BuildAccessLogFilter(const envoy::config::accesslog::v3::AccessLogFilter& config,
                                        std::string_view path, config::Diagnostics& diagnostics,
                                        config::Runtime* runtime = nullptr);

}  // namespace sluice
