// sluice.load_balancing.peak_ewma: of a few endpoints the one whose response time, times its
// requests in flight, is lowest. Immutable; what is measured stands in the endpoints, apart for
// each worker.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

struct PeakEwmaSettings {
  Duration decay_time = std::chrono::seconds(10);
  Duration default_response_time = std::chrono::milliseconds(30);
  Duration failure_response_time = std::chrono::seconds(1);
  uint32_t choices = 2;
};

std::unique_ptr<const Balancer> PeakEwma(const PeakEwmaSettings& settings,
                                         const BalancerOptions& options);

/// Makes the policy known.
void RegisterPeakEwma(Registry& registry);

}  // namespace sluice
