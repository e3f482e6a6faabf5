// Authenticator: who a request's Basic credentials belong to. What was found right once costs a
// worker one look-up from then on; expensive hashes are computed on a thread of their own, so that
// no other request waits for them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/extension/auth/password_file.h"
#include "source/http/exchange.h"

namespace sluice {

/// What is wrong with credentials, if anything.
enum class Login : uint8_t {
  kGood,
  kNone,       // there are none
  kScheme,     // not Basic
  kMalformed,  // not name:password in base64
  kWrong,
  kBusy,  // too many wait for their turn already
  kCancelled,
};

struct LoginResult {
  Login login = Login::kGood;
  uint32_t user = 0;  // of kGood: the place in users()
};

class HashThread;

class Authenticator {
 public:
  /// Credentials longer than this are malformed.
  static constexpr size_t kMaxToken = 4096;
  /// So many hashes wait at most.
  static constexpr size_t kMaxWaiting = 64;

  /// `workers` bounds the indices of the workers that ask.
  Authenticator(PasswordFile file, size_t workers);
  ~Authenticator();

  const std::vector<PasswordFile::User>& users() const { return file_.users(); }

  /// Worker: the answer to an Authorization or Proxy-Authorization field (nullopt: it is absent),
  /// where it can be given at once; nullopt: ask Check.
  std::optional<LoginResult> TryCheck(std::optional<std::string_view> field, size_t worker) const;
  /// Worker: the answer to what TryCheck could not say. `field` outlives the call.
  Task<LoginResult> Check(std::string_view field, Exchange& exchange) const;

 private:
  struct alignas(64) Cache {
    StringMap<uint32_t> users;  // by their token
  };
  struct Credentials {
    std::string name, password;
  };

  static std::optional<Credentials> Decode(std::string_view token);
  LoginResult Remember(std::string_view token, uint32_t user, size_t worker) const;

  const PasswordFile file_;
  uint32_t decoy_ = 0;  // a user with an expensive hash, whose work unknown names cost as well
  bool expensive_ = false;
  const std::unique_ptr<HashThread> hashes_;
  // Each belongs to one worker.
  mutable std::vector<Cache> caches_;
  // Under the mutex: what any worker found right.
  mutable std::mutex mutex_;
  mutable StringMap<uint32_t> known_;
};

}  // namespace sluice
