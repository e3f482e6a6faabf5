// The rhythm of the checks and what their results mean. Main thread.
#include "source/upstream/health_checker.h"

#include <algorithm>

namespace sluice {
namespace {

Duration RandomUpTo(Rng& rng, Duration most) {
  if (most <= Duration::zero()) return Duration::zero();
  return Duration(static_cast<Duration::rep>(rng.Below(static_cast<uint64_t>(most.count()) + 1)));
}

}  // namespace

bool HealthCheckSettings::Range::Holds(const std::vector<Range>& ranges, int64_t value) {
  return std::any_of(ranges.begin(), ranges.end(), [value](const Range& range) {
    return value >= range.start && value < range.end;
  });
}

HealthChecker::HealthChecker(std::shared_ptr<const HealthCheckSettings> settings,
                             const stats::Scope& cluster, Counter traffic, Worker& main,
                             MakeProbe make_probe, OnResult on_result)
    : settings_(std::move(settings)),
      main_(main),
      make_probe_(std::move(make_probe)),
      on_result_(std::move(on_result)),
      traffic_(traffic),
      attempt_(cluster.Sub("health_check").counter("attempt")),
      success_(cluster.Sub("health_check").counter("success")),
      failure_(cluster.Sub("health_check").counter("failure")),
      passive_failure_(cluster.Sub("health_check").counter("passive_failure")),
      network_failure_(cluster.Sub("health_check").counter("network_failure")),
      verify_cluster_(cluster.Sub("health_check").counter("verify_cluster")),
      healthy_(cluster.Sub("health_check").gauge("healthy")),
      degraded_(cluster.Sub("health_check").gauge("degraded")) {}

HealthChecker::~HealthChecker() {
  Stop();
}

void HealthChecker::Prepare(const HostStats& host) const {
  host.health.Set(HostHealth::kFailedActiveHc, true);
  if (settings_->ignore_new_hosts) host.health.Set(HostHealth::kPendingActiveHc, true);
}

void HealthChecker::SetTargets(std::vector<HealthTarget> targets) {
  std::vector<std::shared_ptr<Watched>> next;
  for (HealthTarget& target : targets) {
    const auto kept = std::find_if(watched_.begin(), watched_.end(),
                                   [&](const auto& one) { return one->target == target; });
    if (kept != watched_.end()) {
      next.push_back(*kept);
      continue;
    }
    auto watched = std::make_shared<Watched>();
    watched->probe = make_probe_(target);
    watched->target = std::move(target);
    next.push_back(watched);
    if (started_) Spawn(watched);
  }
  const auto before = std::exchange(watched_, std::move(next));
  for (const auto& one : before) {
    if (std::find(watched_.begin(), watched_.end(), one) != watched_.end()) continue;
    one->gone = true;
    one->canceller.Cancel(Reason::kCancelled);
  }
}

void HealthChecker::Start() {
  main_.Post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr || std::exchange(self->started_, true)) return;
    for (const auto& watched : self->watched_) self->Spawn(watched);
  });
}

void HealthChecker::Stop() {
  SetTargets({});
}

bool HealthChecker::first_round_done() const {
  return std::none_of(watched_.begin(), watched_.end(),
                      [](const auto& watched) { return watched->first; });
}

void HealthChecker::Spawn(const std::shared_ptr<Watched>& watched) {
  const Duration delay = RandomUpTo(main_.rng(), settings_->initial_jitter);
  main_.scope().Spawn(Run(weak_from_this(), watched, main_, delay), watched->canceller);
}

Task<> HealthChecker::Run(std::weak_ptr<HealthChecker> weak, std::shared_ptr<Watched> watched,
                          Worker& main, Duration first_delay) {
  Duration delay = first_delay;
  while (!watched->gone) {
    if (delay > Duration::zero() && !co_await Sleep(delay)) break;
    auto self = weak.lock();
    if (self == nullptr || watched->gone) break;
    self->attempt_.Add();
    const Duration timeout = self->settings_->timeout;
    self.reset();  // A check must not keep the cluster alive.
    const ProbeResult result = co_await CheckInTime(main, *watched, timeout);
    self = weak.lock();
    if (result == ProbeResult::kCancelled || self == nullptr || watched->gone) break;
    delay = self->Conclude(*watched, result);
  }
  watched->probe->Close();
  // The canceller must be there until the scope has let this task go.
  main.Post([watched] {});
}

Task<ProbeResult> HealthChecker::CheckInTime(Worker& main, Watched& watched, Duration timeout) {
  Deadline deadline(main.wheel(), watched.canceller, timeout);
  ProbeResult result = co_await watched.probe->Check(main, watched.canceller);
  const bool late = deadline.Expired();
  if (late && result != ProbeResult::kPassed && result != ProbeResult::kDegraded)
    result = ProbeResult::kTimeout;
  if (watched.canceller.cancelled()) result = ProbeResult::kCancelled;
  if (result == ProbeResult::kTimeout) watched.probe->Close();
  co_return result;
}

Duration HealthChecker::Conclude(Watched& watched, ProbeResult result) {
  const bool passed = result == ProbeResult::kPassed || result == ProbeResult::kDegraded;
  bool changed = false;
  const Turn turn = passed ? Pass(watched, result == ProbeResult::kDegraded, &changed)
                           : Fail(watched, result, &changed);
  changed = watched.target.host->health.Set(HostHealth::kPendingActiveHc, false) || changed;
  watched.first = false;
  RefreshGauges();
  on_result_(*watched.target.host, passed, changed);
  return IntervalAfter(passed, turn);
}

HealthChecker::Turn HealthChecker::Pass(Watched& watched, bool degraded, bool* changed) {
  success_.Add();
  HostHealth& health = watched.target.host->health;
  watched.failed = 0;
  Turn turn = Turn::kNone;
  if (health.Has(HostHealth::kFailedActiveHc)) {
    turn = Turn::kPending;
    // The very first result counts at once: the sooner a new host serves the better.
    if (watched.first || ++watched.passed >= settings_->healthy_threshold) {
      health.Set(HostHealth::kFailedActiveHc, false);
      health.Set(HostHealth::kActiveHcTimeout, false);
      health.Set(HostHealth::kExcludedViaImmediateHcFail, false);
      health.set_healthy_since(Now());
      turn = Turn::kDone;
      *changed = true;
    }
  }
  *changed = health.Set(HostHealth::kDegradedActiveHc, degraded) || *changed;
  return turn;
}

HealthChecker::Turn HealthChecker::Fail(Watched& watched, ProbeResult result, bool* changed) {
  failure_.Add();
  const bool network = result == ProbeResult::kNetwork || result == ProbeResult::kTimeout;
  if (network) network_failure_.Add();
  HostHealth& health = watched.target.host->health;
  watched.passed = 0;
  if (health.Has(HostHealth::kFailedActiveHc)) {
    // Of a host that has failed before, too: /clusters tells how the last check ended.
    health.Set(HostHealth::kActiveHcTimeout, result == ProbeResult::kTimeout);
    return Turn::kNone;
  }
  if (result != ProbeResult::kFailed && ++watched.failed < settings_->unhealthy_threshold)
    return Turn::kPending;
  health.Set(HostHealth::kFailedActiveHc, true);
  health.Set(HostHealth::kActiveHcTimeout, result == ProbeResult::kTimeout);
  *changed = true;
  return Turn::kDone;
}

void HealthChecker::OnImmediateFailure(const HostStats& host) {
  const auto found = std::find_if(watched_.begin(), watched_.end(), [&](const auto& watched) {
    return watched->target.host.get() == &host;
  });
  if (found == watched_.end()) return;
  (*found)->passed = 0;
  passive_failure_.Add();
  failure_.Add();
  host.health.Set(HostHealth::kExcludedViaImmediateHcFail, true);
  if (!host.health.Set(HostHealth::kFailedActiveHc, true)) return;
  RefreshGauges();
  on_result_(host, false, true);
}

Duration HealthChecker::IntervalAfter(bool healthy, Turn turn) const {
  const HealthCheckSettings& s = *settings_;
  Duration base;
  if (Read(traffic_) == 0) {
    base = healthy ? s.no_traffic_healthy_interval : s.no_traffic_interval;
  } else if (healthy) {
    base = turn == Turn::kPending ? s.healthy_edge_interval : s.interval;
  } else {
    base = turn == Turn::kPending ? s.unhealthy_edge_interval : s.unhealthy_interval;
  }
  Rng& rng = main_.rng();
  return base + RandomUpTo(rng, base * s.interval_jitter_percent / 100) +
         RandomUpTo(rng, s.interval_jitter);
}

void HealthChecker::RefreshGauges() const {
  int64_t healthy = 0, degraded = 0;
  for (const auto& watched : watched_) {
    const HostHealth& health = watched->target.host->health;
    healthy += health.Has(HostHealth::kFailedActiveHc) ? 0 : 1;
    degraded += health.Has(HostHealth::kDegradedActiveHc) ? 1 : 0;
  }
  healthy_.Set(healthy);
  degraded_.Set(degraded);
}

}  // namespace sluice
