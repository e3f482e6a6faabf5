// From pressures to shares. Main thread.
#include "source/server/overload/overload_manager.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "source/async/scope.h"
#include "source/base/log.h"
#include "source/base/strings.h"
#include "source/config/durations.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::overload::v3;

// Giving memory back walks the whole heap under its locks: not more often than this.
constexpr Duration kShrinkInterval = std::chrono::seconds(10);
// What is taken otherwise than as a share of all cases.
constexpr int kShrinkHeap = -1;
constexpr int kReduceTimeouts = -2;

constexpr std::pair<std::string_view, int> kActions[] = {
    {"envoy.overload_actions.stop_accepting_requests", OverloadState::kStopAcceptingRequests},
    {"envoy.overload_actions.disable_http_keepalive", OverloadState::kDisableKeepalive},
    {"envoy.overload_actions.stop_accepting_connections", OverloadState::kStopAcceptingConnections},
    {"envoy.overload_actions.reject_incoming_connections", OverloadState::kRejectConnections},
    {"envoy.overload_actions.shrink_heap", kShrinkHeap},
    {"envoy.overload_actions.reduce_timeouts", kReduceTimeouts},
};

constexpr std::pair<std::string_view, int> kPoints[] = {
    {"envoy.load_shed_points.tcp_listener_accept", OverloadState::kShedAccept},
    {"envoy.load_shed_points.hcm_ondata_creating_codec", OverloadState::kShedCodec},
    {"envoy.load_shed_points.http1_server_abort_dispatch", OverloadState::kShedDispatch},
    {"envoy.load_shed_points.http_connection_manager_decode_headers", OverloadState::kShedDecode},
    {"envoy.load_shed_points.http_downstream_filter_check", OverloadState::kShedRouter},
};

using ScaleTimer = v3::ScaleTimersOverloadActionConfig::ScaleTimer;

const std::string& NameOf(const ScaleTimer& timer) {
  return v3::ScaleTimersOverloadActionConfig::TimerType_Name(timer.timer());
}

// Nothing for timeouts that do not exist here.
std::optional<OverloadState::Timeout> TimeoutOf(const ScaleTimer& timer) {
  switch (timer.timer()) {
    case v3::ScaleTimersOverloadActionConfig::HTTP_DOWNSTREAM_CONNECTION_IDLE:
      return OverloadState::kConnectionIdle;
    case v3::ScaleTimersOverloadActionConfig::HTTP_DOWNSTREAM_CONNECTION_MAX:
      return OverloadState::kConnectionMax;
    case v3::ScaleTimersOverloadActionConfig::HTTP_DOWNSTREAM_STREAM_IDLE:
      return OverloadState::kStreamIdle;
    default:
      return std::nullopt;
  }
}

int64_t Percent(double share) {
  // An absurd pressure (a limit of one byte) must not overflow.
  return static_cast<int64_t>(std::min(share * 100, 1e9));
}

}  // namespace

double OverloadManager::Trigger::Share(double pressure) const {
  if (pressure >= to) return 1;
  return pressure <= from ? 0 : (pressure - from) / (to - from);
}

void OverloadManager::Configure(const v3::OverloadManager& config, const std::string& path,
                                const MonitorContext& context, config::Diagnostics& diagnostics) {
  if (config.has_refresh_interval()) interval_ = config::ToDuration(config.refresh_interval());
  if (interval_ < std::chrono::milliseconds(1))
    diagnostics.Error(path + ".refresh_interval", "must be at least 1 ms");
  refresh_delay_ = stats_.Root().Sub("overload").histogram("refresh_interval_delay");
  for (int i = 0; i < config.resource_monitors_size(); ++i) {
    AddMonitor(config.resource_monitors(i), Cat(path, ".resource_monitors[", i, "]"), context,
               diagnostics);
  }
  for (int i = 0; i < config.actions_size(); ++i)
    AddAction(config.actions(i), Cat(path, ".actions[", i, "]"), diagnostics);
  for (int i = 0; i < config.loadshed_points_size(); ++i)
    AddPoint(config.loadshed_points(i), Cat(path, ".loadshed_points[", i, "]"), diagnostics);
}

void OverloadManager::AddMonitor(const v3::ResourceMonitor& config, const std::string& path,
                                 const MonitorContext& context, config::Diagnostics& diagnostics) {
  for (const Monitor& monitor : monitors_) {
    if (monitor.name == config.name())
      return diagnostics.Error(path, Cat("Duplicate resource monitor ", config.name()));
  }
  auto made = MakeResourceMonitor(config, context);
  if (!made.ok()) return diagnostics.Error(path, Std(made.status().message()));
  const stats::Scope scope = stats_.Root().Sub("overload").Sub(config.name());
  Monitor& monitor = monitors_.emplace_back();
  monitor.name = config.name();
  monitor.monitor = *std::move(made);
  monitor.pressure_percent = scope.gauge("pressure");
  monitor.failed_updates = scope.counter("failed_updates");
  // Envoy counts refreshes that came before the last one had ended; ours end at once.
  scope.counter("skipped_updates");
}

void OverloadManager::AddAction(const v3::OverloadAction& config, const std::string& path,
                                config::Diagnostics& diagnostics) {
  for (const Action& action : actions_) {
    if (action.name == config.name())
      return diagnostics.Error(path, Cat("Duplicate overload action ", config.name()));
  }
  const auto* known = std::find_if(std::begin(kActions), std::end(kActions),
                                   [&](const auto& each) { return each.first == config.name(); });
  if (known == std::end(kActions)) {
    std::string text = Cat("Unknown Overload Manager Action ", config.name(), "; there are");
    for (const auto& [name, action] : kActions) text += Cat(" ", name);
    return diagnostics.Error(path, text);
  }
  if (!TakeActionConfig(config, path, diagnostics)) return;
  const stats::Scope scope = stats_.Root().Sub("overload").Sub(config.name());
  Action& action = actions_.emplace_back();
  action.name = config.name();
  action.state_action = known->second;
  action.is_point = false;
  action.active = scope.gauge("active");
  action.scale_percent = scope.gauge("scale_percent");
  if (known->second == kShrinkHeap) action.shrinks = scope.counter("shrink_count");
  for (int i = 0; i < config.triggers_size(); ++i)
    AddTrigger(config.triggers(i), Cat(path, ".triggers[", i, "]"), action, diagnostics);
}

// The typed_config of an action, which that of timeouts alone has.
bool OverloadManager::TakeActionConfig(const v3::OverloadAction& config, const std::string& path,
                                       config::Diagnostics& diagnostics) {
  const bool wants_config = config.name() == "envoy.overload_actions.reduce_timeouts";
  if (!wants_config && !config.has_typed_config()) return true;
  v3::ScaleTimersOverloadActionConfig timers;
  std::string error;
  if (!wants_config) {
    error = Cat("Overload action name \"", config.name(), "\" conflicts with its typed config");
  } else if (!config.has_typed_config()) {
    error = Cat("Overload action \"", config.name(), "\" requires typed_config");
  } else if (!config.typed_config().UnpackTo(&timers)) {
    error = Cat("does not hold a ", timers.GetDescriptor()->full_name());
  }
  if (!error.empty()) {
    diagnostics.Error(path + ".typed_config", error);
    return false;
  }
  std::vector<int> seen;
  for (int i = 0; i < timers.timer_scale_factors_size(); ++i) {
    const ScaleTimer& timer = timers.timer_scale_factors(i);
    const std::string place = Cat(path, ".typed_config.timer_scale_factors[", i, "]");
    if (std::find(seen.begin(), seen.end(), timer.timer()) != seen.end())
      diagnostics.Error(place, Cat("Found duplicate entry for timer type ", NameOf(timer)));
    seen.push_back(timer.timer());
    const auto timeout = TimeoutOf(timer);
    if (!timeout.has_value()) {
      diagnostics.Error(place + ".timer", Cat(NameOf(timer), " is not supported: there is no such ",
                                              "timeout here (no TLS, no HTTP/2)"));
    } else if (timer.has_min_timeout()) {
      state_.SetFloor(*timeout, config::ToDuration(timer.min_timeout()));
    } else {
      state_.SetFloor(*timeout, timer.min_scale().value() / 100);
    }
  }
  return true;
}

void OverloadManager::AddPoint(const v3::LoadShedPoint& config, const std::string& path,
                               config::Diagnostics& diagnostics) {
  for (const Action& action : actions_) {
    if (action.name == config.name())
      return diagnostics.Error(path, Cat("Duplicate loadshed point ", config.name()));
  }
  const auto* known = std::find_if(std::begin(kPoints), std::end(kPoints),
                                   [&](const auto& each) { return each.first == config.name(); });
  if (known == std::end(kPoints)) {
    std::string text = Cat("Unknown load shed point ", config.name(), "; there are");
    for (const auto& [name, point] : kPoints) text += Cat(" ", name);
    return diagnostics.Error(path, text);
  }
  const stats::Scope scope = stats_.Root().Sub("overload").Sub(config.name());
  Action& action = actions_.emplace_back();
  action.name = config.name();
  action.state_action = known->second;
  action.is_point = true;
  action.scale_percent = scope.gauge("scale_percent");
  action.shed = scope.counter("shed_load_count");
  for (int i = 0; i < config.triggers_size(); ++i)
    AddTrigger(config.triggers(i), Cat(path, ".triggers[", i, "]"), action, diagnostics);
}

void OverloadManager::CountShed() {
  for (const Action& action : actions_) {
    if (action.is_point)
      action.shed.Add(state_.TakeShed(static_cast<OverloadState::Action>(action.state_action)));
  }
}

void OverloadManager::AddTrigger(const v3::Trigger& config, const std::string& path, Action& action,
                                 config::Diagnostics& diagnostics) {
  const auto monitor = std::find_if(monitors_.begin(), monitors_.end(), [&](const Monitor& each) {
    return each.name == config.name();
  });
  if (monitor == monitors_.end()) {
    return diagnostics.Error(path, Cat("Unknown trigger resource ", config.name(),
                                       " for overload action ", action.name));
  }
  const auto place = static_cast<size_t>(monitor - monitors_.begin());
  for (const Trigger& trigger : action.triggers) {
    if (trigger.monitor == place)
      return diagnostics.Error(path,
                               Cat("Duplicate trigger resource for overload action ", action.name));
  }
  Trigger trigger{place, config.threshold().value(), config.threshold().value()};
  if (config.has_scaled()) {
    trigger.from = config.scaled().scaling_threshold();
    trigger.to = config.scaled().saturation_threshold();
    if (trigger.from >= trigger.to)
      return diagnostics.Error(path, "scaling_threshold must be less than saturation_threshold");
  }
  action.triggers.push_back(trigger);
}

void OverloadManager::Refresh() {
  for (Monitor& monitor : monitors_) Update(monitor);
  for (Action& action : actions_) Update(action);
}

// The last pressure stands while there is no new one.
void OverloadManager::Update(Monitor& monitor) {
  const auto pressure = monitor.monitor->Pressure();
  if (!pressure.ok()) {
    monitor.failed_updates.Add();
    if (!std::exchange(monitor.failing, true))
      SLUICE_LOG(kWarning, kMain, monitor.name, ": ", Std(pressure.status().message()));
    return;
  }
  monitor.failing = false;
  monitor.pressure = *pressure;
  monitor.pressure_percent.Set(Percent(*pressure));
}

void OverloadManager::Update(Action& action) {
  double share = 0;
  for (const Trigger& trigger : action.triggers)
    share = std::max(share, trigger.Share(monitors_[trigger.monitor].pressure));
  if (share >= 1 && action.state_action == kShrinkHeap) ShrinkHeap(action);
  if (share == action.share) return;
  if ((share >= 1) != (action.share >= 1)) {
    SLUICE_LOG(kWarning, kMain, action.is_point ? "load shed point " : "overload action ",
               action.name, share >= 1 ? " is active" : " is over");
  }
  action.share = share;
  if (!action.is_point) action.active.Set(share >= 1 ? 1 : 0);
  action.scale_percent.Set(Percent(share));
  Take(action);
}

// Has the workers know that the share of an action has changed.
void OverloadManager::Take(const Action& action) {
  if (action.state_action == kShrinkHeap) return;
  if (action.state_action != kReduceTimeouts)
    return state_.Set(static_cast<OverloadState::Action>(action.state_action), action.share);
  state_.ReduceTimeouts(action.share);
  if (timeouts_changed_) timeouts_changed_();
}

void OverloadManager::ShrinkHeap(const Action& action) {
  if (shrunk_ != TimePoint() && Now() - shrunk_ < kShrinkInterval) return;
  shrunk_ = Now();
  ::malloc_trim(0);
  action.shrinks.Add();
}

Task<> OverloadManager::Run(OverloadManager& manager) {
  while (true) {
    const TimePoint now = Now();
    if (manager.refreshed_ != TimePoint()) {
      manager.refresh_delay_.Record(
          static_cast<uint64_t>(std::max<int64_t>(Milliseconds(now - manager.refreshed_), 0)));
    }
    manager.refreshed_ = now;
    manager.Refresh();
    if (!co_await Sleep(manager.interval_)) co_return;
  }
}

}  // namespace sluice
