// Checking credentials. See authenticator.h for threads.
#include "source/extension/auth/authenticator.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <thread>

#include "absl/strings/escaping.h"

namespace sluice {
namespace {

constexpr std::string_view kScheme = "basic ";
// How often a waiting request looks; a hash takes from one millisecond to some hundred.
constexpr Duration kLook = std::chrono::milliseconds(4);

// The token of a Basic field; nullopt for another scheme.
std::optional<std::string_view> TokenOf(std::string_view field) {
  if (!EqualsIgnoreCase(field.substr(0, kScheme.size()), kScheme)) return std::nullopt;
  return Trim(field.substr(kScheme.size()));
}

}  // namespace

// Computes one hash after the other. Its thread is started by the first of them.
class HashThread {
 public:
  struct Job {
    std::string hash, password;
    std::atomic<int> state{0};  // 1: they match, 2: they do not
  };

  ~HashThread() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  /// Any thread. Null when too many wait. Equal jobs are one.
  std::shared_ptr<const Job> Add(const std::string& hash, const std::string& password) {
    std::lock_guard lock(mutex_);
    for (const auto& job : jobs_) {
      if (job->hash == hash && job->password == password) return job;
    }
    if (jobs_.size() >= Authenticator::kMaxWaiting) return nullptr;
    auto job = std::make_shared<Job>();
    job->hash = hash;
    job->password = password;
    jobs_.push_back(job);
    if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
    wake_.notify_all();
    return job;
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
      if (jobs_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const std::shared_ptr<Job> job = jobs_.front();  // stays there, for equal ones to find it
      lock.unlock();
      const bool match = PasswordFile::MatchesCrypt(job->hash, job->password);
      job->state.store(match ? 1 : 2, std::memory_order_release);
      lock.lock();
      jobs_.pop_front();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> jobs_;
  bool stopped_ = false;
  std::thread thread_;
};

Authenticator::Authenticator(PasswordFile file, size_t workers)
    : file_(std::move(file)), hashes_(std::make_unique<HashThread>()), caches_(workers) {
  for (uint32_t i = 0; i < users().size() && !expensive_; ++i) {
    expensive_ = !users()[i].crypt.empty();
    decoy_ = i;
  }
}

Authenticator::~Authenticator() = default;

std::optional<Authenticator::Credentials> Authenticator::Decode(std::string_view token) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
  std::string text;
  if (token.size() > kMaxToken || token.find_first_not_of(kAlphabet) != std::string_view::npos ||
      !absl::Base64Unescape(Absl(token), &text))
    return std::nullopt;
  const size_t colon = text.find(':');
  // A hash function that works on C strings would stop at a NUL.
  if (colon == std::string::npos || text.find('\0') != std::string::npos) return std::nullopt;
  return Credentials{text.substr(0, colon), text.substr(colon + 1)};
}

LoginResult Authenticator::Remember(std::string_view token, uint32_t user, size_t worker) const {
  StringMap<uint32_t>& mine = caches_[worker].users;
  // One password has few spellings in base64, so this is never reached but by those who look for
  // them all.
  if (mine.size() > 4 * users().size()) mine.clear();
  mine.emplace(token, user);
  return {Login::kGood, user};
}

std::optional<LoginResult> Authenticator::TryCheck(std::optional<std::string_view> field,
                                                   size_t worker) const {
  if (!field.has_value()) return LoginResult{Login::kNone};
  const auto token = TokenOf(*field);
  if (!token.has_value()) return LoginResult{Login::kScheme};
  const StringMap<uint32_t>& mine = caches_[worker].users;
  if (const auto found = mine.find(*token); found != mine.end())
    return LoginResult{Login::kGood, found->second};
  const auto credentials = Decode(*token);
  if (!credentials.has_value()) return LoginResult{Login::kMalformed};
  const auto user = file_.Find(credentials->name);
  const bool costs = user.has_value() ? !users()[*user].crypt.empty() : expensive_;
  if (!costs) {
    const bool good = PasswordFile::MatchesSha(users()[user.value_or(0)], credentials->password);
    if (!good || !user.has_value()) return LoginResult{Login::kWrong};
    return Remember(*token, *user, worker);
  }
  {
    std::lock_guard lock(mutex_);
    const auto known = known_.find(*token);
    if (known == known_.end()) return std::nullopt;
    return Remember(*token, known->second, worker);
  }
}

Task<LoginResult> Authenticator::Check(std::string_view field, Exchange& exchange) const {
  const std::string_view token = TokenOf(field).value_or("");
  const auto credentials = Decode(token);
  if (!credentials.has_value()) co_return LoginResult{Login::kMalformed};
  const auto user = file_.Find(credentials->name);
  const auto job = hashes_->Add(users()[user.value_or(decoy_)].crypt, credentials->password);
  if (job == nullptr) co_return LoginResult{Login::kBusy};
  while (job->state.load(std::memory_order_acquire) == 0) {
    if (!co_await Sleep(kLook)) co_return LoginResult{Login::kCancelled};
  }
  if (job->state.load(std::memory_order_relaxed) != 1 || !user.has_value())
    co_return LoginResult{Login::kWrong};
  {
    std::lock_guard lock(mutex_);
    if (known_.size() > 4 * users().size()) known_.clear();
    known_.emplace(token, *user);
  }
  co_return Remember(token, *user, static_cast<size_t>(exchange.worker().index()));
}

}  // namespace sluice
