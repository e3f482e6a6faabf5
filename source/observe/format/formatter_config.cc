// See formatter_config.h.
#include "source/observe/format/formatter_config.h"

#include "api/envoy/extensions/formatter/metadata/v3/metadata.pb.h"
#include "api/envoy/extensions/formatter/req_without_query/v3/req_without_query.pb.h"
#include "source/base/strings.h"
#include "source/config/data_source.h"

namespace sluice {
namespace {

using envoy::config::core::v3::DataSource;
using envoy::config::core::v3::SubstitutionFormatString;

constexpr uint64_t kMaxFormatBytes = 1 << 20;

Formatter Nothing() {
  return *Formatter::FromText("");
}

Formatter Checked(absl::StatusOr<Formatter> formatter, const std::string& path,
                  config::Diagnostics& diagnostics) {
  if (!formatter.ok()) {
    diagnostics.Error(path, Std(formatter.status().message()));
    return Nothing();
  }
  return *std::move(formatter);
}

// Whether they are among those whose operators are built in.
void CheckFormatters(const SubstitutionFormatString& config, std::string_view path,
                     config::Diagnostics& diagnostics) {
  namespace formatter = envoy::extensions::formatter;
  for (int i = 0; i < config.formatters_size(); ++i) {
    const google::protobuf::Any& any = config.formatters(i).typed_config();
    if (any.Is<formatter::metadata::v3::Metadata>() ||
        any.Is<formatter::req_without_query::v3::ReqWithoutQuery>())
      continue;
    diagnostics.Error(config::ElementPath(config::ChildPath(path, "formatters"), i),
                      Cat("unsupported ", config::Quoted(config.formatters(i).name()),
                          ": use envoy.formatter.metadata or envoy.formatter.req_without_query"));
  }
}

}  // namespace

Formatter BuildFormatter(const SubstitutionFormatString& config, std::string_view path,
                         config::Diagnostics& diagnostics, Formatter::Options options) {
  options.omit_empty_values = config.omit_empty_values();
  CheckFormatters(config, path, diagnostics);
  switch (config.format_case()) {
    case SubstitutionFormatString::kTextFormat:
      return Checked(Formatter::FromText(config.text_format(), options),
                     config::ChildPath(path, "text_format"), diagnostics);
    case SubstitutionFormatString::kJsonFormat:
      return Checked(Formatter::FromJson(config.json_format(), options),
                     config::ChildPath(path, "json_format"), diagnostics);
    case SubstitutionFormatString::kTextFormatSource: {
      const DataSource& source = config.text_format_source();
      const std::string member =
          config::DataSourcePath(source, config::ChildPath(path, "text_format_source"));
      const absl::StatusOr<std::string> text = config::ReadDataSource(source, kMaxFormatBytes);
      if (!text.ok()) {
        diagnostics.Error(member, Std(text.status().message()));
        return Nothing();
      }
      return Checked(Formatter::FromText(*text, options), member, diagnostics);
    }
    case SubstitutionFormatString::FORMAT_NOT_SET:
      break;
  }
  diagnostics.Error(path, "one of text_format_source, json_format, text_format is needed");
  return Nothing();
}

}  // namespace sluice
