// Counting against limits. See circuit_breaker.h for the threads.
#include "source/upstream/circuit_breaker.h"

#include <algorithm>

namespace sluice {

uint32_t Thresholds::limit(Resource resource) const {
  switch (resource) {
    case Resource::kConnections:
      return max_connections;
    case Resource::kPending:
      return max_pending_requests;
    case Resource::kRequests:
      return max_requests;
    case Resource::kRetries:
      return max_retries;
  }
  return 0;
}

bool CircuitBreaker::Try(Resource resource, int worker) {
  const int64_t limit = thresholds_.limit(resource);
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
  return std::max<int64_t>(0, static_cast<int64_t>(thresholds_.limit(resource)) - InUse(resource));
}

}  // namespace sluice
