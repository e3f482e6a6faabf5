// HostHealth: what is known of one host's health. The flags are written on the main thread and read
// anywhere; the counts of consecutive failures are written by the workers, and only when a row
// begins, grows or ends, so that a healthy host costs a read.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "source/base/clock.h"

namespace sluice {

enum class Health : uint8_t { kUnhealthy, kDegraded, kHealthy };

class HostHealth {
 public:
  enum Flag : uint32_t {
    kFailedActiveHc = 1 << 0,
    kFailedOutlierCheck = 1 << 1,
    kFailedEdsHealth = 1 << 2,
    kDegradedActiveHc = 1 << 3,
    kDegradedEdsHealth = 1 << 4,
    kPendingDynamicRemoval = 1 << 5,
    kPendingActiveHc = 1 << 6,
    kExcludedViaImmediateHcFail = 1 << 7,
    kActiveHcTimeout = 1 << 8,
    kEdsStatusDraining = 1 << 9,
  };

  bool Has(uint32_t flags) const { return (flags_.load(std::memory_order_relaxed) & flags) != 0; }
  /// Main thread. Returns whether that changed anything.
  bool Set(Flag flag, bool on);

  /// What balancing makes of the flags.
  Health health() const;
  /// Not to be counted among the hosts of its priority: until it was checked, or while it drains.
  bool excluded() const {
    return Has(kPendingActiveHc | kExcludedViaImmediateHcFail | kEdsStatusDraining);
  }
  /// "healthy", or "/failed_active_hc/failed_outlier_check" and so on, as /clusters prints it.
  std::string ToString() const;

  /// Failures in a row, of the three kinds that outlier detection counts. Workers.
  struct Consecutive {
    std::atomic<uint32_t> server_errors{0}, gateway_errors{0}, local_failures{0};
  };
  Consecutive consecutive;

  /// Since when the host is healthy: where its slow start begins. Written on the main thread.
  TimePoint healthy_since() const {
    return TimePoint(Duration(healthy_since_.load(std::memory_order_relaxed)));
  }
  void set_healthy_since(TimePoint time) {
    healthy_since_.store(time.time_since_epoch().count(), std::memory_order_relaxed);
  }

  /// Outlier detection's own state. Main thread.
  struct Ejection {
    TimePoint at{};
    TimePoint ended{};
    Duration jitter{};
    uint32_t multiplier = 0;  // ejections in a row, less the quiet intervals since
    double success_rate = -1;
    double local_success_rate = -1;
    uint64_t seen_success = 0, seen_error = 0, seen_local_error = 0;  // at the last interval
  };
  Ejection ejection;

 private:
  std::atomic<uint32_t> flags_{0};
  std::atomic<Duration::rep> healthy_since_{0};
};

}  // namespace sluice
