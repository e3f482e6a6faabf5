// Reading data sources. Main thread, while a configuration is loaded.
#include "source/config/data_source.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "source/base/strings.h"

namespace sluice::config {

std::string ReadDataSource(const envoy::config::core::v3::DataSource& source,
                           const std::string& path, Diagnostics& diagnostics) {
  using Source = envoy::config::core::v3::DataSource;
  switch (source.specifier_case()) {
    case Source::kFilename: {
      std::ifstream file(source.filename(), std::ios::binary);
      if (!file)
        diagnostics.Error(ChildPath(path, "filename"),
                          Cat("cannot read ", Quoted(source.filename())));
      return {std::istreambuf_iterator<char>(file), {}};
    }
    case Source::kInlineBytes:
      return source.inline_bytes();
    case Source::kInlineString:
      return source.inline_string();
    case Source::kEnvironmentVariable: {
      const char* value = std::getenv(source.environment_variable().c_str());
      if (value != nullptr) return value;
      diagnostics.Error(
          ChildPath(path, "environment_variable"),
          Cat("there is no environment variable ", Quoted(source.environment_variable())));
      return {};
    }
    case Source::SPECIFIER_NOT_SET:
      break;
  }
  return {};
}

}  // namespace sluice::config
