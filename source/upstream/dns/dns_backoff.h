// Backoff: how long to wait after the n-th failure in a row, growing twofold with jitter. One user,
// one thread.
#pragma once

#include <algorithm>

#include "source/async/worker.h"
#include "source/base/clock.h"

namespace sluice {

struct BackoffOptions {
  Duration base{};  // zero: not configured
  Duration max{};   // zero: ten times the base
};

class Backoff {
 public:
  /// Between half of and the whole of min(base * 2^n, max) after n earlier failures.
  Duration Next(const BackoffOptions& options, Rng& rng) {
    const Duration max =
        options.max > Duration::zero() ? std::max(options.max, options.base) : options.base * 10;
    if (next_ == Duration::zero()) next_ = options.base;
    const Duration whole = std::min(next_, max);
    next_ = std::min(whole * 2, max);
    const uint64_t half = static_cast<uint64_t>(whole.count()) / 2;
    return Duration(static_cast<int64_t>(half + rng.Below(half + 1)));
  }
  void Reset() { next_ = Duration::zero(); }

 private:
  Duration next_{};
};

}  // namespace sluice
