// OverloadState: what the overload manager wants shed, in words that every worker reads and only
// the main thread writes, so that a request pays some loads of one line that stays in its cache.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "source/base/clock.h"

namespace sluice {

/// %RESPONSE_CODE_DETAILS% of a request that is turned away for overload alone.
inline constexpr std::string_view kShedDetails = "overload";

class OverloadState {
 public:
  enum Action : uint8_t {
    kStopAcceptingRequests,
    kDisableKeepalive,
    kStopAcceptingConnections,
    kRejectConnections,
    // Load shed points: the places in the path of a request where one may be turned away.
    kShedAccept,
    kShedCodec,
    kShedDispatch,
    kShedDecode,
    kShedRouter,
    kActions,
  };

  /// Timeouts that the overload action reduce_timeouts makes shorter.
  enum Timeout : uint8_t { kConnectionIdle, kConnectionMax, kStreamIdle, kTimeouts };

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
    std::atomic<uint64_t>& word = words_[action / kPerWord];
    const auto scaled = static_cast<uint64_t>(std::clamp(share, 0.0, 1.0) * kFull);
    const uint64_t others = word.load(std::memory_order_relaxed) & ~(kFull << Shift(action));
    word.store(others | scaled << Shift(action), std::memory_order_relaxed);
  }

  /// Any thread: whether to take the action in this case; chosen by lot when only a share is due.
  /// `rng` has Below().
  template <class Random>
  bool Applies(Action action, Random& rng) const {
    const uint64_t word = words_[action / kPerWord].load(std::memory_order_relaxed);
    if (__builtin_expect(word == 0, 1)) return false;
    const uint64_t share = word >> Shift(action) & kFull;
    const bool applies = share == kFull || (share != 0 && rng.Below(kFull) < share);
    if (applies && action >= kShedAccept)
      shed_[action - kShedAccept].fetch_add(1, std::memory_order_relaxed);
    return applies;
  }

  /// Any thread: whether the action is due in every case.
  bool Saturated(Action action) const {
    return (words_[action / kPerWord].load(std::memory_order_relaxed) >> Shift(action) & kFull) ==
           kFull;
  }

  /// Main thread, before the workers run: how short reduce_timeouts makes a timeout at most: so
  /// long (never longer than it was), or so large a share of it.
  void SetFloor(Timeout timeout, Duration least) { floors_[timeout] = {0, least}; }
  void SetFloor(Timeout timeout, double share) { floors_[timeout] = {share, Duration::zero()}; }

  /// Main thread: from now on timeouts lie this far, 0 to 1, on their way to their floors.
  void ReduceTimeouts(double share) {
    reduction_.store(static_cast<uint32_t>(std::clamp(share, 0.0, 1.0) * kFull),
                     std::memory_order_relaxed);
  }

  /// Any thread: what is now left of a timeout that is configured as `full`. A limit stays one: not
  /// less than a millisecond. No limit (zero) stays none.
  Duration Scaled(Timeout timeout, Duration full) const {
    const uint32_t reduction = reduction_.load(std::memory_order_relaxed);
    if (__builtin_expect(reduction == 0, 1) || full <= Duration::zero()) return full;
    const Floor& floor = floors_[timeout];
    const auto whole = static_cast<double>(full.count());
    const double least =
        std::clamp(static_cast<double>(floor.least.count()), floor.share * whole, whole);
    const double left = least + (whole - least) * (1 - reduction / double{kFull});
    return std::max<Duration>(Duration(static_cast<Duration::rep>(left)),
                              std::min<Duration>(full, std::chrono::milliseconds(1)));
  }

  /// Main thread: how much a load shed point has turned away since the last call.
  uint64_t TakeShed(Action point) {
    return shed_[point - kShedAccept].exchange(0, std::memory_order_relaxed);
  }

 private:
  struct Floor {
    double share = 1;  // nothing is taken from it
    Duration least{};
  };

  static constexpr unsigned kBits = 16;
  static constexpr unsigned kPerWord = 64 / kBits;
  static constexpr unsigned kWords = (kActions + kPerWord - 1) / kPerWord;
  static constexpr uint64_t kFull = (1u << kBits) - 1;
  static constexpr unsigned Shift(Action action) { return action % kPerWord * kBits; }

  alignas(64) std::atomic<uint64_t> words_[kWords] = {};
  std::atomic<uint32_t> reduction_{0};
  Floor floors_[kTimeouts];
  // Written under overload only, so not on the line that everybody reads.
  alignas(64) mutable std::atomic<uint64_t> shed_[kActions - kShedAccept] = {};
};

}  // namespace sluice
