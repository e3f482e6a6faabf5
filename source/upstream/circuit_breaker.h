// Circuit breaker: cluster-wide limits that are counted per worker, so that taking one touches only
// the worker's own cache line until some worker has used up its share of the limit. Try/Give on
// worker threads, reading anywhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "source/config/runtime.h"

namespace sluice {

enum class Resource : uint8_t { kConnections, kPending, kRequests, kRetries };

/// So many percent of the requests that are active or pending may be retries, but at least
/// `minimum`.
struct RetryBudget {
  double percent = 20;
  uint32_t minimum = 3;
};

/// Limits of one priority (envoy.config.cluster.v3.CircuitBreakers.Thresholds) with Envoy's
/// defaults.
struct Thresholds {
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
  bool track_remaining = false;
  std::optional<RetryBudget> retry_budget;  // in place of max_retries
};

class CircuitBreaker {
 public:
  /// Main thread. The runtime's values below `prefix` ("circuit_breakers.<cluster>.default."), by
  /// the names of the fields, go before those of `thresholds`; a null `runtime` has none.
  CircuitBreaker(const Thresholds& thresholds, size_t workers, config::Runtime* runtime = nullptr,
                 const std::string& prefix = {});

  /// Takes one unit; false when the limit is reached. With several workers the sum is read without
  /// a lock: each can overshoot by at most one.
  bool Try(Resource resource, int worker);
  void Give(Resource resource, int worker) { Add(resource, worker, -1); }

  /// Units in use, over all workers.
  int64_t InUse(Resource resource) const;
  bool IsOpen(Resource resource) const { return InUse(resource) >= Limit(resource); }
  int64_t Remaining(Resource resource) const;
  /// Those in force now.
  Thresholds thresholds() const;
  bool tracks_remaining() const { return configured_.track_remaining; }

 private:
  struct Use {
    int64_t sum = 0, most = 0;  // over all workers; of one
  };
  int64_t Limit(Resource resource) const;
  Use UseOf(Resource resource) const;
  std::optional<RetryBudget> Budget() const;

  struct alignas(64) Line {
    std::atomic<int64_t> used[4] = {};
  };
  void Add(Resource resource, int worker, int64_t n) {
    std::atomic<int64_t>& used = lines_[worker].used[static_cast<size_t>(resource)];
    used.store(used.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  const Thresholds configured_;
  const config::RuntimeUInt32 limits_[4];  // by Resource
  // Whether there is a budget at all may be the runtime's word alone.
  const config::RuntimeDouble budget_percent_;
  const config::RuntimeUInt32 budget_minimum_;
  std::vector<Line> lines_;
  // Some worker may have more than its even share. Written seldom.
  std::atomic<bool> uneven_[4] = {};
  std::atomic<int64_t> seen_[4] = {};  // the limits at the last Try()
};

/// Holds one unit until it dies.
class BreakerUnit {
 public:
  BreakerUnit() = default;
  /// Empty when the limit is reached.
  static BreakerUnit Try(CircuitBreaker& breaker, Resource resource, int worker) {
    BreakerUnit unit;
    if (!breaker.Try(resource, worker)) return unit;
    unit.breaker_ = &breaker;
    unit.resource_ = resource;
    unit.worker_ = worker;
    return unit;
  }
  BreakerUnit(BreakerUnit&& other) noexcept { *this = std::move(other); }
  BreakerUnit& operator=(BreakerUnit&& other) noexcept {
    std::swap(breaker_, other.breaker_);
    std::swap(resource_, other.resource_);
    std::swap(worker_, other.worker_);
    return *this;
  }
  ~BreakerUnit() {
    if (breaker_ != nullptr) breaker_->Give(resource_, worker_);
  }
  explicit operator bool() const { return breaker_ != nullptr; }

 private:
  CircuitBreaker* breaker_ = nullptr;
  Resource resource_ = Resource::kRequests;
  int worker_ = 0;
};

}  // namespace sluice
