// Counting against limits. See circuit_breaker.h for the threads.
#include "source/upstream/circuit_breaker.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

// What a handle of the budget holds where neither the configuration nor the runtime has a value.
constexpr double kNoPercent = std::numeric_limits<double>::quiet_NaN();
constexpr uint32_t kNoMinimum = UINT32_MAX;
constexpr double kMostPercent = 10'000;

}  // namespace

CircuitBreaker::CircuitBreaker(const Thresholds& thresholds, size_t workers,
                               config::Runtime* runtime, const std::string& prefix)
    : configured_(thresholds),
      limits_{{runtime, prefix + "max_connections", thresholds.max_connections},
              {runtime, prefix + "max_pending_requests", thresholds.max_pending_requests},
              {runtime, prefix + "max_requests", thresholds.max_requests},
              {runtime, prefix + "max_retries", thresholds.max_retries}},
      budget_percent_(runtime, prefix + "retry_budget.budget_percent",
                      thresholds.retry_budget ? thresholds.retry_budget->percent : kNoPercent),
      budget_minimum_(runtime, prefix + "retry_budget.min_retry_concurrency",
                      thresholds.retry_budget ? thresholds.retry_budget->minimum : kNoMinimum),
      lines_(workers) {}

std::optional<RetryBudget> CircuitBreaker::Budget() const {
  const double percent = budget_percent_.Get();
  const uint32_t minimum = budget_minimum_.Get();
  if (std::isnan(percent) && minimum == kNoMinimum) return std::nullopt;
  RetryBudget budget;
  // The runtime takes any number.
  if (!std::isnan(percent)) budget.percent = std::clamp(percent, 0.0, kMostPercent);
  if (minimum != kNoMinimum) budget.minimum = minimum;
  return budget;
}

Thresholds CircuitBreaker::thresholds() const {
  Thresholds now = configured_;
  now.max_connections = limits_[static_cast<size_t>(Resource::kConnections)].Get();
  now.max_pending_requests = limits_[static_cast<size_t>(Resource::kPending)].Get();
  now.max_requests = limits_[static_cast<size_t>(Resource::kRequests)].Get();
  now.max_retries = limits_[static_cast<size_t>(Resource::kRetries)].Get();
  now.retry_budget = Budget();
  return now;
}

int64_t CircuitBreaker::Limit(Resource resource) const {
  const int64_t limit = limits_[static_cast<size_t>(resource)].Get();
  if (resource != Resource::kRetries) return limit;
  const std::optional<RetryBudget> budget = Budget();
  if (!budget.has_value()) return limit;
  const auto busy = static_cast<double>(InUse(Resource::kRequests) + InUse(Resource::kPending));
  return std::max<int64_t>(static_cast<int64_t>(busy * budget->percent / 100), budget->minimum);
}

bool CircuitBreaker::Try(Resource resource, int worker) {
  const auto index = static_cast<size_t>(resource);
  const int64_t limit = Limit(resource);
  const int64_t share = limit / static_cast<int64_t>(lines_.size());
  const bool beyond = lines_[worker].used[index].load(std::memory_order_relaxed) >= share;
  // While no worker is beyond its even share none needs to look at the others.
  std::atomic<bool>& uneven = uneven_[index];
  if (const int64_t seen = seen_[index].load(std::memory_order_relaxed); limit != seen) {
    // Workers may have more than their share of a limit that has become lower.
    if (limit < seen) uneven.store(true, std::memory_order_relaxed);
    seen_[index].store(limit, std::memory_order_relaxed);
  }
  if (beyond && !uneven.load(std::memory_order_relaxed))
    uneven.store(true, std::memory_order_relaxed);
  if (uneven.load(std::memory_order_relaxed)) {
    const Use use = UseOf(resource);
    if (use.sum >= limit) return false;
    if (!beyond && use.most <= share) uneven.store(false, std::memory_order_relaxed);
  }
  Add(resource, worker, 1);
  return true;
}

CircuitBreaker::Use CircuitBreaker::UseOf(Resource resource) const {
  Use use;
  for (const Line& line : lines_) {
    const int64_t used = line.used[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
    use.sum += used;
    use.most = std::max(use.most, used);
  }
  return use;
}

int64_t CircuitBreaker::InUse(Resource resource) const {
  return UseOf(resource).sum;
}

int64_t CircuitBreaker::Remaining(Resource resource) const {
  return std::max<int64_t>(0, Limit(resource) - InUse(resource));
}

}  // namespace sluice
