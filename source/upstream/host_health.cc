// Flags of hosts. See host_health.h for the threads.
#include "source/upstream/host_health.h"

#include <string_view>
#include <utility>

namespace sluice {
namespace {

constexpr uint32_t kUnhealthy = HostHealth::kFailedActiveHc | HostHealth::kFailedOutlierCheck |
                                HostHealth::kFailedEdsHealth | HostHealth::kEdsStatusDraining;
constexpr uint32_t kDegraded = HostHealth::kDegradedActiveHc | HostHealth::kDegradedEdsHealth;

constexpr std::pair<HostHealth::Flag, std::string_view> kNames[] = {
    {HostHealth::kFailedActiveHc, "/failed_active_hc"},
    {HostHealth::kFailedOutlierCheck, "/failed_outlier_check"},
    {HostHealth::kFailedEdsHealth, "/failed_eds_health"},
    {HostHealth::kDegradedActiveHc, "/degraded_active_hc"},
    {HostHealth::kDegradedEdsHealth, "/degraded_eds_health"},
    {HostHealth::kPendingDynamicRemoval, "/pending_dynamic_removal"},
    {HostHealth::kPendingActiveHc, "/pending_active_hc"},
    {HostHealth::kExcludedViaImmediateHcFail, "/excluded_via_immediate_hc_fail"},
    {HostHealth::kActiveHcTimeout, "/active_hc_timeout"},
    {HostHealth::kEdsStatusDraining, "/eds_status_draining"},
};

}  // namespace

bool HostHealth::Set(Flag flag, bool on) {
  if (Has(flag) == on) return false;
  const uint32_t flags = flags_.load(std::memory_order_relaxed);
  flags_.store(on ? flags | flag : flags & ~flag, std::memory_order_relaxed);
  return true;
}

Health HostHealth::health() const {
  if (Has(kUnhealthy)) return Health::kUnhealthy;
  return Has(kDegraded) ? Health::kDegraded : Health::kHealthy;
}

std::string HostHealth::ToString() const {
  std::string text;
  for (const auto& [flag, name] : kNames) {
    if (Has(flag)) text += name;
  }
  return text.empty() ? "healthy" : text;
}

}  // namespace sluice
