// OverloadState: what the overload manager wants shed, in one word that every worker reads and only
// the main thread writes, so that a request pays one load of a line that stays in its cache.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace sluice {

class OverloadState {
 public:
  enum Action : uint8_t {
    kStopAcceptingRequests,
    kDisableKeepalive,
    kStopAcceptingConnections,
    kRejectConnections,
    kActions,
  };

  OverloadState() = default;
  OverloadState(const OverloadState&) = delete;
  OverloadState& operator=(const OverloadState&) = delete;

  /// Never overloaded: for what is built without an overload manager.
  static const OverloadState& Calm() {
    static const OverloadState calm;
    return calm;
  }

  /// Main thread: from now on `action` is taken in this share of all cases, 0 to 1.
  void Set(Action action, double share) {
    const auto scaled = static_cast<uint64_t>(std::clamp(share, 0.0, 1.0) * kFull);
    const uint64_t others = word_.load(std::memory_order_relaxed) & ~(kFull << Shift(action));
    word_.store(others | scaled << Shift(action), std::memory_order_relaxed);
  }

  /// Any thread: whether to take the action in this case; chosen by lot when only a share is due.
  /// `rng` has Below().
  template <class Random>
  bool Applies(Action action, Random& rng) const {
    const uint64_t word = word_.load(std::memory_order_relaxed);
    if (__builtin_expect(word == 0, 1)) return false;
    const uint64_t share = word >> Shift(action) & kFull;
    return share == kFull || (share != 0 && rng.Below(kFull) < share);
  }

  /// Any thread: whether the action is due in every case.
  bool Saturated(Action action) const {
    return (word_.load(std::memory_order_relaxed) >> Shift(action) & kFull) == kFull;
  }

 private:
  static constexpr unsigned kBits = 16;
  static constexpr uint64_t kFull = (1u << kBits) - 1;
  static_assert(kActions * kBits <= 64);
  static constexpr unsigned Shift(Action action) { return action * kBits; }

  alignas(64) std::atomic<uint64_t> word_{0};
};

}  // namespace sluice
