// OverloadManager: looks at the resources of the process now and then and says what is to be shed
// meanwhile, with Envoy's configuration and metrics. Main thread; what the workers read of it is
// state().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/envoy/config/overload/v3/overload.pb.h"
#include "source/async/task.h"
#include "source/base/clock.h"
#include "source/base/overload_state.h"
#include "source/config/diagnostics.h"
#include "source/observe/stats/stats.h"
#include "source/server/overload/resource_monitor.h"

namespace sluice {

class OverloadManager {
 public:
  explicit OverloadManager(stats::Store& stats) : stats_(stats) {}

  /// Takes the configuration over; problems go to `diagnostics`, whose paths begin with `path`.
  /// Called at most once.
  void Configure(const envoy::config::overload::v3::OverloadManager& config,
                 const std::string& path, const MonitorContext& context,
                 config::Diagnostics& diagnostics);

  /// Before Configure(): called, on the main thread, when running timers are to look at state()
  /// anew.
  void OnTimeoutsChanged(std::function<void()> callback) {
    timeouts_changed_ = std::move(callback);
  }

  bool configured() const { return !monitors_.empty(); }

  /// Asks every monitor once and sets state().
  void Refresh();

  /// Refreshes every refresh_interval until it is cancelled.
  static Task<> Run(OverloadManager& manager);

  /// Counts what the load shed points have turned away until now.
  void CountShed();

  const OverloadState& state() const { return state_; }

 private:
  struct Trigger {
    size_t monitor;  // its place in monitors_
    double from;     // up to here: nothing
    double to;       // from here on: everything; equal to `from` for a threshold
    double Share(double pressure) const;
  };
  struct Monitor {
    std::string name;
    std::unique_ptr<ResourceMonitor> monitor;
    double pressure = 0;
    bool failing = false;
    Gauge pressure_percent;
    Counter failed_updates;
  };
  struct Action {
    std::string name;
    int state_action;  // OverloadState::Action, or one of the negative ones of overload_manager.cc
    bool is_point;     // a load shed point
    std::vector<Trigger> triggers;
    double share = 0;
    Gauge active;
    Gauge scale_percent;
    Counter shrinks;  // of shrink_heap
    Counter shed;     // of a load shed point
  };

  void AddMonitor(const envoy::config::overload::v3::ResourceMonitor& config,
                  const std::string& path, const MonitorContext& context,
                  config::Diagnostics& diagnostics);
  void AddAction(const envoy::config::overload::v3::OverloadAction& config, const std::string& path,
                 config::Diagnostics& diagnostics);
  bool TakeActionConfig(const envoy::config::overload::v3::OverloadAction& config,
                        const std::string& path, config::Diagnostics& diagnostics);
  void AddPoint(const envoy::config::overload::v3::LoadShedPoint& config, const std::string& path,
                config::Diagnostics& diagnostics);
  void AddTrigger(const envoy::config::overload::v3::Trigger& config, const std::string& path,
                  Action& action, config::Diagnostics& diagnostics);
  void Update(Monitor& monitor);
  void Update(Action& action);
  void Take(const Action& action);
  void ShrinkHeap(const Action& action);

  stats::Store& stats_;
  OverloadState state_;
  std::function<void()> timeouts_changed_;
  Duration interval_ = std::chrono::seconds(1);
  std::vector<Monitor> monitors_;
  std::vector<Action> actions_;
  Histogram refresh_delay_;
  TimePoint refreshed_{};
  TimePoint shrunk_{};
};

}  // namespace sluice
