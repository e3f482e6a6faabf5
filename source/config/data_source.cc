// Reading data sources. Main thread, while a configuration is loaded.
#include "source/config/data_source.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "source/base/strings.h"

namespace sluice::config {
namespace {

using envoy::config::core::v3::DataSource;

constexpr uint64_t kMiB = 1024 * 1024;

absl::StatusOr<std::string> ReadFile(const std::string& name, uint64_t max_bytes) {
  std::ifstream file(name, std::ios::binary);
  if (!file) return Invalid("cannot read '", name, "': ", std::strerror(errno));
  if (max_bytes != UINT64_MAX) {
    file.seekg(0, std::ios::end);
    const std::streamoff size = file.tellg();
    if (size < 0 || static_cast<uint64_t>(size) > max_bytes)
      return Invalid("'", name, "' is not a file of at most ", max_bytes / kMiB, " MiB");
    file.seekg(0);
  }
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return Invalid("cannot read '", name, "'");
  return text.str();
}

}  // namespace

absl::StatusOr<std::string> ReadDataSource(const DataSource& source, uint64_t max_bytes) {
  switch (source.specifier_case()) {
    case DataSource::kInlineString:
      return source.inline_string();
    case DataSource::kInlineBytes:
      return source.inline_bytes();
    case DataSource::kEnvironmentVariable: {
      const char* value = std::getenv(source.environment_variable().c_str());
      if (value != nullptr) return std::string(value);
      return Invalid("the environment variable '", source.environment_variable(), "' is not set");
    }
    case DataSource::kFilename:
      return ReadFile(source.filename(), max_bytes);
    case DataSource::SPECIFIER_NOT_SET:
      break;
  }
  return Invalid("one of filename, inline_bytes, inline_string, environment_variable is needed");
}

std::string DataSourcePath(const DataSource& source, std::string_view path) {
  switch (source.specifier_case()) {
    case DataSource::kInlineString:
      return ChildPath(path, "inline_string");
    case DataSource::kInlineBytes:
      return ChildPath(path, "inline_bytes");
    case DataSource::kEnvironmentVariable:
      return ChildPath(path, "environment_variable");
    case DataSource::kFilename:
      return ChildPath(path, "filename");
    case DataSource::SPECIFIER_NOT_SET:
      break;
  }
  return std::string(path);
}

std::string ReadDataSource(const DataSource& source, const std::string& path,
                           Diagnostics& diagnostics) {
  if (source.specifier_case() == DataSource::SPECIFIER_NOT_SET) return {};
  absl::StatusOr<std::string> text = ReadDataSource(source);
  if (text.ok()) return *std::move(text);
  diagnostics.Error(DataSourcePath(source, path), Std(text.status().message()));
  return {};
}

}  // namespace sluice::config
