// PasswordFile: names and password hashes as htpasswd writes them. Immutable, any thread; built on
// the main thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "api/envoy/config/core/v3/base.pb.h"
#include "source/base/strings.h"

namespace sluice {

class PasswordFile {
 public:
  struct User {
    std::string name;
    std::string crypt;  // a crypt(5) hash; empty: {SHA}
    std::array<uint8_t, 20> sha{};
  };
  enum class Hashes : uint8_t { kShaOnly, kAll };

  /// Lines of `name:hash`; empty ones and those that begin with '#' are skipped. InvalidArgument
  /// names the line: no name, a name twice, a hash of an unknown kind.
  static absl::StatusOr<PasswordFile> Parse(std::string_view text, Hashes hashes);
  /// The same of a file, an environment variable or an inline text; errors never show its content.
  static absl::StatusOr<PasswordFile> Load(const envoy::config::core::v3::DataSource& source,
                                           Hashes hashes);

  const std::vector<User>& users() const { return users_; }
  std::optional<uint32_t> Find(std::string_view name) const;

  /// Checks {SHA} hashes in a time that does not depend on where they differ.
  static bool MatchesSha(const User& user, std::string_view password);
  /// The same of crypt(5) hashes; takes up to some hundred milliseconds.
  static bool MatchesCrypt(const std::string& hash, const std::string& password);

 private:
  std::vector<User> users_;
  StringMap<uint32_t> index_;
};

}  // namespace sluice
