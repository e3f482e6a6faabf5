// The version of this program. Constants, any thread.
#pragma once

#include <string>

namespace sluice {

inline constexpr const char kVersion[] = "0.1.0";

/// "sluice  version: REVISION/VERSION/Clean/RELEASE/TLS-LIBRARY", in Envoy's form.
inline std::string VersionSlug() {
  return std::string("0/") + kVersion + "/Clean/RELEASE/OpenSSL";
}
inline std::string VersionText() {
  return "sluice  version: " + VersionSlug();
}

}  // namespace sluice
