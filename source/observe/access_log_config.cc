// Formats of access logs from configuration. Main thread.
#include "source/observe/access_log_config.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "source/base/strings.h"

namespace sluice {
namespace {

using envoy::config::core::v3::DataSource;
using envoy::config::core::v3::SubstitutionFormatString;

constexpr std::streamoff kMaxFormatBytes = 1 << 20;

// The text of a data source; the error says what is wrong with the member that is set.
absl::StatusOr<std::string> ReadText(const DataSource& source) {
  switch (source.specifier_case()) {
    case DataSource::kInlineString:
      return source.inline_string();
    case DataSource::kInlineBytes:
      return source.inline_bytes();
    case DataSource::kEnvironmentVariable: {
      const char* value = std::getenv(source.environment_variable().c_str());
      if (value == nullptr) {
        return Invalid("the environment variable '", source.environment_variable(), "' is not set");
      }
      return std::string(value);
    }
    case DataSource::kFilename: {
      std::ifstream file(source.filename(), std::ios::binary | std::ios::ate);
      if (!file) {
        return Invalid("cannot read '", source.filename(), "': ", strerror(errno));
      }
      if (file.tellg() < 0 || file.tellg() > kMaxFormatBytes) {
        return Invalid("'", source.filename(), "' is not a file of at most 1 MiB");
      }
      file.seekg(0);
      std::ostringstream text;
      text << file.rdbuf();
      return text.str();
    }
    case DataSource::SPECIFIER_NOT_SET:
      break;
  }
  return Invalid("one of filename, inline_bytes, inline_string, environment_variable is needed");
}

std::string_view MemberOf(const DataSource& source) {
  switch (source.specifier_case()) {
    case DataSource::kInlineString:
      return "inline_string";
    case DataSource::kInlineBytes:
      return "inline_bytes";
    case DataSource::kEnvironmentVariable:
      return "environment_variable";
    case DataSource::kFilename:
      return "filename";
    case DataSource::SPECIFIER_NOT_SET:
      break;
  }
  return "";
}

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

}  // namespace

Formatter BuildFormatter(const SubstitutionFormatString& config, std::string_view path,
                         config::Diagnostics& diagnostics, Formatter::Options options) {
  options.omit_empty_values = config.omit_empty_values();
  switch (config.format_case()) {
    case SubstitutionFormatString::kTextFormat:
      return Checked(Formatter::FromText(config.text_format(), options),
                     config::ChildPath(path, "text_format"), diagnostics);
    case SubstitutionFormatString::kJsonFormat:
      return Checked(Formatter::FromJson(config.json_format(), options),
                     config::ChildPath(path, "json_format"), diagnostics);
    case SubstitutionFormatString::kTextFormatSource: {
      const DataSource& source = config.text_format_source();
      std::string member = config::ChildPath(path, "text_format_source");
      if (!MemberOf(source).empty()) {
        member = config::ChildPath(member, MemberOf(source));
      }
      const absl::StatusOr<std::string> text = ReadText(source);
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
