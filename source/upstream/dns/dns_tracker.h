// DnsTracker: looks one name up again and again for a STRICT_DNS or LOGICAL_DNS cluster and hands
// each answer on. Main thread.
#pragma once

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "source/async/worker.h"
#include "source/net/resolver.h"
#include "source/upstream/dns/dns_backoff.h"

namespace sluice {

struct DnsTrackerOptions {
  std::string name;  // or an IP literal, which is looked up once
  LookupFamily family = LookupFamily::kAuto;
  Duration refresh_rate = std::chrono::seconds(5);  // dns_refresh_rate
  BackoffOptions failure_refresh;  // dns_failure_refresh_rate; zero base: `refresh_rate`, fixed
  Duration jitter{};               // dns_jitter: up to so much is added to every wait
  bool respect_ttl =
      false;  // respect_dns_ttl: the smallest TTL of the answer, if not 0, is the rate
  bool empty_is_failure = false;  // an answer without addresses is tried again as a failure is
};

class DnsTracker {
 public:
  /// Called for every answer, also for those without addresses and for failures. It may destroy the
  /// tracker.
  using OnAnswer = absl::AnyInvocable<void(const DnsAnswer&)>;

  /// `resolver` must outlive the look-ups that run, `main` the tracker.
  DnsTracker(DnsTrackerOptions options, Resolver& resolver, Worker& main, OnAnswer on_answer);
  /// No call comes after this, whatever still runs.
  ~DnsTracker();
  DnsTracker(const DnsTracker&) = delete;
  DnsTracker& operator=(const DnsTracker&) = delete;

  /// The first look-up begins. Once.
  void Start();

 private:
  struct State;
  static Task<> Look(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sluice
