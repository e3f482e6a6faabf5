// HostUse: how much one host name of a DNS cache is used, over all clusters, ports and workers, and
// its own circuit breakers (sluice.dns.v1.DnsCaches.Cache.per_host). A worker counts in a cache
// line of its own, reading is for any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace sluice {

/// What may be limited: connections that exist or are being made, requests that wait for one, and
/// requests in flight.
enum class HostResource : uint8_t { kConnections, kPending, kRequests };

/// What is counted. `kRqError`: requests that got no answer; `kRqOverflow`: those that a limit
/// refused.
enum class HostCount : uint8_t {
  kRqTotal,
  kRq5xx,
  kRqError,
  kRqOverflow,
  kCxTotal,
  kCxConnectFail
};
inline constexpr size_t kHostCounts = 6;

/// By HostResource; 0: no limit. The main thread may change them at any time.
using HostLimits = std::array<std::atomic<uint32_t>, 3>;

class HostUse {
 public:
  HostUse(std::shared_ptr<const HostLimits> limits, size_t workers)
      : limits_(std::move(limits)), lines_(workers) {}
  HostUse(const HostUse&) = delete;

  /// Whether there is room for one more. With several workers the sum is read without a lock: each
  /// can overshoot by at most one.
  bool Admits(HostResource resource) const;
  /// That worker: takes `n` units, limit or not, or gives them back.
  void Add(HostResource resource, int worker, int64_t n) {
    std::atomic<int64_t>& used = lines_[worker].used[static_cast<size_t>(resource)];
    used.store(used.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  /// That worker.
  void Count(HostCount what, int worker) {
    std::atomic<uint64_t>& count = lines_[worker].counts[static_cast<size_t>(what)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  /// How much of it is taken now, by all workers. Any thread.
  int64_t InUse(HostResource resource) const;
  /// The count of all workers. Any thread.
  uint64_t Total(HostCount what) const;

 private:
  struct alignas(64) Line {
    std::atomic<int64_t> used[3] = {};
    std::atomic<uint64_t> counts[kHostCounts] = {};
  };

  const std::shared_ptr<const HostLimits> limits_;
  std::vector<Line> lines_;
};

/// One unit that is taken, limit or not, until it dies; of nothing where `use` is null. `use`
/// outlives it; made and destroyed on that worker.
class HostUnit {
 public:
  HostUnit() = default;
  HostUnit(HostUse* use, HostResource resource, int worker)
      : use_(use), resource_(resource), worker_(worker) {
    if (use_ != nullptr) use_->Add(resource_, worker_, 1);
  }
  HostUnit(HostUnit&& other) noexcept { *this = std::move(other); }
  HostUnit& operator=(HostUnit&& other) noexcept {
    std::swap(use_, other.use_);
    std::swap(resource_, other.resource_);
    std::swap(worker_, other.worker_);
    return *this;
  }
  ~HostUnit() {
    if (use_ != nullptr) use_->Add(resource_, worker_, -1);
  }

 private:
  HostUse* use_ = nullptr;
  HostResource resource_ = HostResource::kRequests;
  int worker_ = 0;
};

}  // namespace sluice
