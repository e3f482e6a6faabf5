// Formatters from configuration. Main thread, while a configuration is loaded.
#pragma once

#include <string_view>

#include "api/envoy/config/core/v3/substitution_format_string.pb.h"
#include "source/config/diagnostics.h"
#include "source/observe/format/formatter.h"

namespace sluice {

/// The formatter that `config` describes, for any use (`options.omit_empty_values` comes from
/// `config`). Problems are reported at and below `path`; the result is then an empty format.
Formatter BuildFormatter(const envoy::config::core::v3::SubstitutionFormatString& config,
                         std::string_view path, config::Diagnostics& diagnostics,
                         Formatter::Options options = {});

}  // namespace sluice
