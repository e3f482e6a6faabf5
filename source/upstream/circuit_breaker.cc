// Counting against limits. See circuit_breaker.h for the threads.
#include "source/upstream/circuit_breaker.h"

#include <algorithm>

namespace sluice {

int64_t CircuitBreaker::Limit(Resource resource) const {
  switch (resource) {
    case Resource::kConnections:
      return thresholds_.max_connections;
    case Resource::kPending:
      return thresholds_.max_pending_requests;
    case Resource::kRequests:
      return thresholds_.max_requests;
    case Resource::kRetries:
      break;
  }
  if (!thresholds_.retry_budget.has_value()) return thresholds_.max_retries;
  const auto busy = static_cast<double>(InUse(Resource::kRequests) + InUse(Resource::kPending));
  return std::max<int64_t>(static_cast<int64_t>(busy * thresholds_.retry_budget->percent / 100),
                           thresholds_.retry_budget->minimum);
}

bool CircuitBreaker::Try(Resource resource, int worker) {
  const auto index = static_cast<size_t>(resource);
  const int64_t limit = Limit(resource);
  const int64_t share = limit / static_cast<int64_t>(lines_.size());
  const bool beyond = lines_[worker].used[index].load(std::memory_order_relaxed) >= share;
  // While no worker is beyond its even share none needs to look at the others.
  std::atomic<bool>& uneven = uneven_[index];
  if (beyond && !uneven.load(std::memory_order_relaxed))
    uneven.store(true, std::memory_order_relaxed);
  if (uneven.load(std::memory_order_relaxed)) {
    int64_t sum = 0, most = 0;
    for (const Line& line : lines_) {
      const int64_t used = line.used[index].load(std::memory_order_relaxed);
      sum += used;
      most = std::max(most, used);
    }
    if (sum >= limit) return false;
    if (!beyond && most <= share) uneven.store(false, std::memory_order_relaxed);
  }
  Add(resource, worker, 1);
  return true;
}

int64_t CircuitBreaker::InUse(Resource resource) const {
  int64_t sum = 0;
  for (const Line& line : lines_)
    sum += line.used[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
  return sum;
}

int64_t CircuitBreaker::Remaining(Resource resource) const {
  return std::max<int64_t>(0, Limit(resource) - InUse(resource));
}

}  // namespace sluice
