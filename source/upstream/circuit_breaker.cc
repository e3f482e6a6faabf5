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
  const int64_t limit = Limit(resource);
  const int64_t own =
      lines_[worker].used[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
  // Below its even share a worker cannot exceed the limit, whatever the others do below theirs;
  // beyond it, ask them.
  if (own >= limit / static_cast<int64_t>(lines_.size()) && InUse(resource) >= limit) return false;
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
