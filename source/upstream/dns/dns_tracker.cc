// The loop of a DnsTracker: look up, hand on, wait. Main thread only.
#include "source/upstream/dns/dns_tracker.h"

#include <algorithm>

namespace sluice {

// Shared with the look-up that runs, which may outlive the tracker but then changes nothing.
struct DnsTracker::State final : Timer, std::enable_shared_from_this<State> {
  State(DnsTrackerOptions options, Resolver& resolver, Worker& main, OnAnswer on_answer)
      : options(std::move(options)),
        resolver(resolver),
        main(main),
        on_answer(std::move(on_answer)) {}
  void OnTimer() override { main.scope().Spawn(Look(shared_from_this())); }
  Duration UntilNext(const DnsAnswer& answer);

  const DnsTrackerOptions options;
  Resolver& resolver;
  Worker& main;
  OnAnswer on_answer;
  Backoff backoff;
  bool stopped = false;
};

Duration DnsTracker::State::UntilNext(const DnsAnswer& answer) {
  const bool failed = answer.outcome != DnsAnswer::Outcome::kCompleted ||
                      (options.empty_is_failure && !answer.has_addresses());
  if (failed && options.failure_refresh.base > Duration::zero()) {
    return backoff.Next(options.failure_refresh, main.rng());
  }
  backoff.Reset();
  if (!options.respect_ttl || !answer.has_addresses()) return options.refresh_rate;
  const auto smallest = std::min_element(
      answer.addresses.begin(), answer.addresses.end(),
      [](const AddressWithTtl& a, const AddressWithTtl& b) { return a.ttl < b.ttl; });
  return smallest->ttl > std::chrono::seconds(0) ? Duration(smallest->ttl) : options.refresh_rate;
}

DnsTracker::DnsTracker(DnsTrackerOptions options, Resolver& resolver, Worker& main,
                       OnAnswer on_answer)
    : state_(std::make_shared<State>(std::move(options), resolver, main, std::move(on_answer))) {}

DnsTracker::~DnsTracker() {
  state_->stopped = true;
  state_->Disarm();
}

void DnsTracker::Start() {
  state_->main.scope().Spawn(Look(state_));
}

Task<> DnsTracker::Look(std::shared_ptr<State> state) {
  const DnsAnswer answer = co_await state->resolver.Resolve(
      state->options.name, state->options.family, Duration::zero());
  if (state->stopped || answer.outcome == DnsAnswer::Outcome::kCancelled) co_return;
  const bool is_literal = LiteralAnswer(state->options.name).has_value();
  state->on_answer(answer);
  if (state->stopped || is_literal) co_return;
  Duration wait = state->UntilNext(answer);
  if (state->options.jitter > Duration::zero()) {
    const auto most = static_cast<uint64_t>(state->options.jitter.count());
    wait += Duration(static_cast<Duration::rep>(state->main.rng().Below(most + 1)));
  }
  state->main.wheel().Arm(*state, wait);
}

}  // namespace sluice
