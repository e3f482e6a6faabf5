// Summing what the workers counted. See host_use.h for the threads.
#include "source/upstream/dns/host_use.h"

namespace sluice {

bool HostUse::Admits(HostResource resource) const {
  const uint32_t limit = (*limits_)[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
  return limit == 0 || InUse(resource) < static_cast<int64_t>(limit);
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
