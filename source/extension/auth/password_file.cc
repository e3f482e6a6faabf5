// Reading password files and checking hashes. See password_file.h for threads.
#include "source/extension/auth/password_file.h"

#include <crypt.h>

#include <algorithm>
#include <memory>

#include "absl/strings/escaping.h"
#include "source/base/sha1.h"
#include "source/config/data_source.h"

namespace sluice {
namespace {

using envoy::config::core::v3::DataSource;

constexpr std::string_view kSha = "{SHA}";

// Equal, in a time that depends on the lengths alone.
bool SameBytes(const void* a, const void* b, size_t size) {
  uint8_t difference = 0;
  for (size_t i = 0; i < size; ++i)
    difference |= static_cast<const uint8_t*>(a)[i] ^ static_cast<const uint8_t*>(b)[i];
  return difference == 0;
}

absl::Status SetHash(std::string_view hash, PasswordFile::Hashes hashes, PasswordFile::User* user) {
  if (hash.starts_with(kSha)) {
    std::string digest;
    if (!absl::Base64Unescape(Absl(hash.substr(kSha.size())), &digest) ||
        digest.size() != user->sha.size())
      return Invalid("a {SHA} digest is 20 bytes in base64");
    std::copy(digest.begin(), digest.end(), user->sha.begin());
    return absl::OkStatus();
  }
  if (hashes == PasswordFile::Hashes::kShaOnly)
    return Invalid("unsupported htpasswd format: please use {SHA}");
  user->crypt = hash;
  if (!hash.starts_with('$') || hash.starts_with("$1$") || hash.starts_with("$apr1$") ||
      crypt_checksalt(user->crypt.c_str()) != CRYPT_SALT_OK) {
    return Invalid("unknown kind of hash: use htpasswd -B (bcrypt), -5 (SHA-512) or -s ({SHA})");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PasswordFile> PasswordFile::Parse(std::string_view text, Hashes hashes) {
  PasswordFile file;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end - (end > 0 && text[end - 1] == '\r')));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == line.size())
      return Invalid("line ", number, ": name:hash is expected");
    User user;
    user.name = line.substr(0, colon);
    const absl::Status status = SetHash(line.substr(colon + 1), hashes, &user);
    if (!status.ok()) return Invalid("line ", number, ": ", Std(status.message()));
    if (!file.index_.emplace(user.name, file.users_.size()).second)
      return Invalid("line ", number, ": duplicate user ", user.name);
    file.users_.push_back(std::move(user));
  }
  if (file.users_.empty()) return Invalid("there is no user");
  return file;
}

absl::StatusOr<PasswordFile> PasswordFile::Load(const DataSource& source, Hashes hashes) {
  auto text = config::ReadDataSource(source);
  if (!text.ok()) return text.status();
  return Parse(*text, hashes);
}

std::optional<uint32_t> PasswordFile::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? std::nullopt : std::optional<uint32_t>(found->second);
}

bool PasswordFile::MatchesSha(const User& user, std::string_view password) {
  const auto digest = Sha1(password);
  return user.crypt.empty() && SameBytes(digest.data(), user.sha.data(), digest.size());
}

bool PasswordFile::MatchesCrypt(const std::string& hash, const std::string& password) {
  const auto data = std::make_unique<crypt_data>();
  const char* out = crypt_r(password.c_str(), hash.c_str(), data.get());
  if (out == nullptr) return false;
  const std::string_view result = out;
  return result.size() == hash.size() && SameBytes(result.data(), hash.data(), hash.size());
}

}  // namespace sluice
