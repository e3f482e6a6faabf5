// PendingBreaker: the limit on requests that wait for a DNS cache, over all workers. A miss writes
// one shared number; a hit only reads it. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "source/base/metric.h"

namespace sluice {

class PendingBreaker {
 public:
  /// `open` is 1 while the limit is reached, `remaining` what is left of it.
  PendingBreaker(uint32_t limit, Gauge open, Gauge remaining)
      : limit_(limit), open_(open), remaining_(remaining) {
    open_.Set(limit == 0 ? 1 : 0);
    remaining_.Set(limit);
  }

  bool is_open() const { return used_.load(std::memory_order_relaxed) >= limit_; }

  /// Holds one unit until it dies; empty when the limit is reached.
  class Unit {
   public:
    explicit Unit(PendingBreaker& breaker) : breaker_(breaker.Take() ? &breaker : nullptr) {}
    Unit(const Unit&) = delete;
    Unit& operator=(const Unit&) = delete;
    ~Unit() {
      if (breaker_ != nullptr) breaker_->Give();
    }
    explicit operator bool() const { return breaker_ != nullptr; }

   private:
    PendingBreaker* const breaker_;
  };

 private:
  bool Take() {
    uint32_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used >= limit_) return false;
    } while (!used_.compare_exchange_weak(used, used + 1, std::memory_order_relaxed));
    remaining_.Sub(1);
    if (used + 1 == limit_) open_.Add(1);
    return true;
  }
  void Give() {
    if (used_.fetch_sub(1, std::memory_order_relaxed) == limit_) open_.Sub(1);
    remaining_.Add(1);
  }

  const uint32_t limit_;
  const Gauge open_;
  const Gauge remaining_;
  alignas(64) std::atomic<uint32_t> used_{0};
};

}  // namespace sluice
