// Summing what the workers counted. See host_use.h for the threads.
#include "source/upstream/host_use.h"

namespace sluice {

bool HostUse::Admits(HostResource resource, int worker) const {
  const size_t index = static_cast<size_t>(resource);
  const auto limit = static_cast<int64_t>((*limits_)[index].load(std::memory_order_relaxed));
  if (limit == 0) return true;
  // Below its even share a worker need not ask what the others have.
  const int64_t own = lines_[worker].used[index].load(std::memory_order_relaxed);
  return own < limit / static_cast<int64_t>(lines_.size()) || InUse(resource) < limit;
}

int64_t HostUse::InUse(HostResource resource) const {
  int64_t sum = 0;
  for (const Line& line : lines_)
    sum += line.used[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
  return sum;
}

uint64_t HostUse::Total(HostCount what) const {
  uint64_t sum = 0;
  for (const Line& line : lines_)
    sum += line.counts[static_cast<size_t>(what)].load(std::memory_order_relaxed);
  return sum;
}

}  // namespace sluice
