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

  bool is_open() const { return used_.load(std::memory_order_relaxed) >= limit(); }

  /// Main thread: another limit from now on; those who wait go on.
  void SetLimit(uint32_t limit) {
    if (limit == this->limit()) return;
    limit_.store(limit, std::memory_order_relaxed);
    RefreshGauges();
  }
  /// Main thread: mends what a change of the limit between two steps of a worker left behind.
  void RefreshGauges() const {
    const uint32_t limit = this->limit(), used = used_.load(std::memory_order_relaxed);
    open_.Set(used >= limit ? 1 : 0);
    remaining_.Set(used >= limit ? 0 : limit - used);
  }

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
    const uint32_t limit = this->limit();
    do {
      if (used >= limit) return false;
    } while (!used_.compare_exchange_weak(used, used + 1, std::memory_order_relaxed));
    remaining_.Sub(1);
    if (used + 1 == limit) open_.Add(1);
    return true;
  }
  void Give() {
    if (used_.fetch_sub(1, std::memory_order_relaxed) == limit()) open_.Sub(1);
    remaining_.Add(1);
  }

  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }

  std::atomic<uint32_t> limit_;  // written by the main thread
  const Gauge open_;
  const Gauge remaining_;
  alignas(64) std::atomic<uint32_t> used_{0};
};

}  // namespace sluice
