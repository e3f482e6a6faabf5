// TokenBucket: a rate limit that all threads share without a lock. Any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "source/base/clock.h"

namespace sluice {

/// How much a bucket holds and how fast it fills.
struct TokenRate {
  double capacity = 0;    // tokens; a new bucket is full
  double per_second = 0;  // tokens

  /// `tokens` come back in every `interval`, a few at a time rather than all at its end.
  static TokenRate Of(double capacity, double tokens, Duration interval) {
    return {capacity, tokens / std::chrono::duration<double>(interval).count()};
  }
};

/// The whole state is one number: how many tokens were ever taken, counted so that "now" stands for
/// what has flowed in since the bucket was made (a theoretical arrival time, in tokens). Taking is
/// one compare-and-swap, so that threads never hand out a token twice, and none is stranded in a
/// share of a thread that sleeps; a share for each thread would be cheaper, and wrong at low rates.
/// In tokens and not in nanoseconds, because whole tokens are exact in a double.
class TokenBucket {
 public:
  explicit TokenBucket(TokenRate rate, TimePoint now = Now())
      : rate_(rate), start_(now), taken_(-rate.capacity) {}
  TokenBucket(const TokenBucket&) = delete;
  TokenBucket& operator=(const TokenBucket&) = delete;

  /// Takes `tokens`, all or none; false: there are not so many.
  bool Take(double tokens, TimePoint now) {
    const double inflow = Inflow(now);
    double taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
      const double after = std::max(taken, inflow - rate_.capacity) + tokens;
      // What floating point makes of sums of fractions must not cost a token that is there.
      if (after > inflow + kRounding) return false;
      if (taken_.compare_exchange_weak(taken, after, std::memory_order_relaxed)) return true;
    }
  }

  /// Whole tokens that are there.
  uint64_t Remaining(TimePoint now) const {
    const double level = Inflow(now) - taken_.load(std::memory_order_relaxed);
    return static_cast<uint64_t>(std::floor(std::clamp(level + kRounding, 0.0, rate_.capacity)));
  }

  /// Whole seconds, rounded up, until there is a token; 0 when there is one.
  uint64_t SecondsToNext(TimePoint now) const {
    const double missing = taken_.load(std::memory_order_relaxed) + 1 - Inflow(now);
    if (missing <= kRounding) return 0;
    return static_cast<uint64_t>(
        std::min(std::ceil((missing - kRounding) / rate_.per_second), 1e18));
  }

  const TokenRate& rate() const { return rate_; }

 private:
  static constexpr double kRounding = 1e-6;

  double Inflow(TimePoint now) const {
    return std::chrono::duration<double>(now - start_).count() * rate_.per_second;
  }

  const TokenRate rate_;
  const TimePoint start_;
  std::atomic<double> taken_;
};

}  // namespace sluice
