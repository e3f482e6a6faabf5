// ScriptedResolver: a Resolver for tests that answers from a table, at once or when it is told to.
// The table may be changed from any thread, the look-ups run on the main worker.
#pragma once

#include <list>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "source/async/worker.h"
#include "source/net/resolver.h"

namespace sluice::testing {

class ScriptedResolver final : public Resolver {
 public:
  /// Names that are not set do not exist.
  void Set(const std::string& name, std::vector<std::string> literals,
           std::chrono::seconds ttl = std::chrono::seconds(3600)) {
    DnsAnswer answer{DnsAnswer::Outcome::kCompleted, std::string(kResolvedDetails), {}};
    for (const std::string& literal : literals)
      answer.addresses.push_back({*Address::Ip(literal, 0), ttl});
    if (literals.empty())
      answer.details = "cares_norecords:DNS_server_returned_answer_with_no_data";
    Set(name, std::move(answer));
  }
  void Fail(const std::string& name) {
    Set(name,
        DnsAnswer{
            DnsAnswer::Outcome::kFailed, "cares_failure:DNS_server_returned_general_failure", {}});
  }
  void Set(const std::string& name, DnsAnswer answer) {
    std::lock_guard lock(mutex_);
    answers_[name] = std::move(answer);
  }

  /// While held, look-ups of `name` wait; they end with kTimedOut after their timeout, or with the
  /// answer after Release().
  void Hold(const std::string& name) {
    std::lock_guard lock(mutex_);
    held_[name];
  }
  void Release(Worker& main, const std::string& name) {
    main.Post([this, name] {
      std::lock_guard lock(mutex_);
      for (Event* event : held_[name]) event->Set();
      held_.erase(name);
    });
  }

  int asked(const std::string& name) const {
    std::lock_guard lock(mutex_);
    const auto it = asked_.find(name);
    return it == asked_.end() ? 0 : it->second;
  }

  Task<DnsAnswer> Resolve(std::string name, LookupFamily family, Duration timeout) override {
    if (std::optional<DnsAnswer> literal = LiteralAnswer(name)) co_return std::move(*literal);
    Event released;
    if (Enter(name, released)) {
      const bool is_cancelled =
          !co_await released.WaitFor(timeout > Duration::zero() ? timeout : Duration::max());
      if (!released.is_set()) {
        Leave(name, released);
        if (is_cancelled) co_return DnsAnswer{DnsAnswer::Outcome::kCancelled, {}, {}};
        co_return DnsAnswer{DnsAnswer::Outcome::kTimedOut, std::string(kResolveTimeoutDetails), {}};
      }
    }
    co_return AnswerOf(name);
  }

 private:
  // True when the look-up has to wait.
  bool Enter(const std::string& name, Event& event) {
    std::lock_guard lock(mutex_);
    ++asked_[name];
    const auto it = held_.find(name);
    if (it == held_.end()) return false;
    it->second.push_back(&event);
    return true;
  }
  void Leave(const std::string& name, Event& event) {
    std::lock_guard lock(mutex_);
    if (const auto it = held_.find(name); it != held_.end()) it->second.remove(&event);
  }
  DnsAnswer AnswerOf(const std::string& name) const {
    std::lock_guard lock(mutex_);
    const auto it = answers_.find(name);
    if (it != answers_.end()) return it->second;
    return {DnsAnswer::Outcome::kCompleted, "cares_norecords:Domain_name_not_found", {}};
  }

  mutable std::mutex mutex_;
  std::map<std::string, DnsAnswer> answers_;
  std::map<std::string, std::list<Event*>> held_;
  std::map<std::string, int> asked_;
};

}  // namespace sluice::testing
