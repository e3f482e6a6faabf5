// ResourceMonitor: how much of one resource the process has used up. Main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "api/envoy/config/overload/v3/overload.pb.h"

namespace sluice {

class ResourceMonitor {
 public:
  virtual ~ResourceMonitor() = default;
  /// The share that is in use: 0 nothing, 1 all of it, more when over the limit. Reads files of the
  /// system and never waits. Unavailable with what could not be read.
  virtual absl::StatusOr<double> Pressure() = 0;
};

/// What the monitors look at, but for files of the system.
struct MonitorContext {
  /// Open downstream connections of all listeners that count.
  std::function<int64_t()> connections;
  /// Called while the monitor is made: how many there may be.
  std::function<void(int64_t limit)> limit_connections;
};

/// The monitor that `config` names. InvalidArgument when there is none of that name or type, or it
/// is configured wrongly.
absl::StatusOr<std::unique_ptr<ResourceMonitor>> MakeResourceMonitor(
    const envoy::config::overload::v3::ResourceMonitor& config, const MonitorContext& context);

}  // namespace sluice
