// The runtime: values that an operator may change while the process runs, by key. The main thread
// loads the layers and publishes; a handle (RuntimeFlag ...) is read on any thread by one plain
// load.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/envoy/config/core/v3/base.pb.h"

namespace sluice::config {

/// `numerator` of `denominator` cases; a numerator above its denominator means all of them.
struct Fraction {
  uint32_t numerator = 0;
  uint32_t denominator = 100;

  static Fraction Of(const envoy::type::v3::FractionalPercent& percent);
};

/// What one key has in one layer: a text, and what it can be read as.
struct RuntimeValue {
  std::string text;
  std::optional<double> number;
  std::optional<uint64_t> integer;  // the number, if it is not negative, rounded down
  std::optional<bool> flag;
  std::optional<Fraction> fraction;
};

/// One source of values.
struct RuntimeLayer {
  std::string name;
  std::map<std::string, RuntimeValue, std::less<>> values;
};

/// All values in force. Main thread only. It may end before the handles, which then keep what they
/// were last told.
class Runtime {
 public:
  enum class Kind { kUInt32, kDouble, kPercent, kFlag, kFraction };
  using Slot = std::atomic<uint64_t>;

  /// Replaces all layers, later ones winning, and tells every handle.
  void Publish(std::vector<RuntimeLayer> layers);
  const std::vector<RuntimeLayer>& layers() const { return layers_; }

  /// The value of the last layer that has the key; null when none has.
  const RuntimeValue* Find(std::string_view key) const;
  /// The number of keys, each counted once.
  size_t keys() const;
  /// Keys that a layer has and that no handle was ever made for.
  std::vector<std::string> UnreadKeys() const;

  /// For the handles below: the slot that holds the value of `key` from now on, as bits of its
  /// kind; `fallback` wherever no layer has the key or has something of another kind.
  std::shared_ptr<const Slot> Bind(std::string_view key, Kind kind, uint64_t fallback);

 private:
  struct Binding {
    Kind kind;
    uint64_t fallback;
    std::weak_ptr<Slot> slot;
  };

  uint64_t Resolve(std::string_view key, const Binding& binding) const;

  std::vector<RuntimeLayer> layers_;
  std::multimap<std::string, Binding, std::less<>>
      bindings_;  // ended ones stay until the key's next, or until there are too many
  size_t purge_at_ = 4096;
};

namespace runtime_internal {

/// A value that is either fixed or that of a slot. Copying is for load time (it counts references).
class Handle {
 public:
  /// Follows the runtime, i.e. may change between two reads.
  bool follows() const { return slot_ != nullptr; }

 protected:
  Handle() = default;
  /// A null runtime or an empty key: fixed.
  Handle(Runtime* runtime, std::string_view key, Runtime::Kind kind, uint64_t fallback);
  uint64_t Bits() const {
    return slot_ == nullptr ? fixed_ : slot_->load(std::memory_order_relaxed);
  }

 private:
  uint64_t fixed_ = 0;
  std::shared_ptr<const Runtime::Slot> slot_;
};

}  // namespace runtime_internal

/// A number from 0 to 2^32 - 1. Built on the main thread, read on any.
class RuntimeUInt32 : public runtime_internal::Handle {
 public:
  RuntimeUInt32() = default;
  RuntimeUInt32(Runtime* runtime, std::string_view key, uint32_t fallback)
      : Handle(runtime, key, Runtime::Kind::kUInt32, fallback) {}
  RuntimeUInt32(const envoy::config::core::v3::RuntimeUInt32& config, Runtime* runtime)
      : RuntimeUInt32(runtime, config.runtime_key(), config.default_value()) {}
  uint32_t Get() const { return static_cast<uint32_t>(Bits()); }
};

/// A number. Built on the main thread, read on any.
class RuntimeDouble : public runtime_internal::Handle {
 public:
  RuntimeDouble() = default;
  RuntimeDouble(Runtime* runtime, std::string_view key, double fallback)
      : Handle(runtime, key, Runtime::Kind::kDouble, std::bit_cast<uint64_t>(fallback)) {}
  RuntimeDouble(const envoy::config::core::v3::RuntimeDouble& config, Runtime* runtime)
      : RuntimeDouble(runtime, config.runtime_key(), config.default_value()) {}
  double Get() const { return std::bit_cast<double>(Bits()); }
};

/// A number from 0 to 100. Built on the main thread, read on any.
class RuntimePercent : public runtime_internal::Handle {
 public:
  RuntimePercent() = default;
  RuntimePercent(Runtime* runtime, std::string_view key, double fallback)
      : Handle(runtime, key, Runtime::Kind::kPercent, std::bit_cast<uint64_t>(fallback)) {}
  RuntimePercent(const envoy::config::core::v3::RuntimePercent& config, Runtime* runtime)
      : RuntimePercent(runtime, config.runtime_key(), config.default_value().value()) {}
  double Get() const { return std::bit_cast<double>(Bits()); }
};

/// True or false. Built on the main thread, read on any.
class RuntimeFlag : public runtime_internal::Handle {
 public:
  RuntimeFlag() = default;
  RuntimeFlag(Runtime* runtime, std::string_view key, bool fallback)
      : Handle(runtime, key, Runtime::Kind::kFlag, fallback) {}
  RuntimeFlag(const envoy::config::core::v3::RuntimeFeatureFlag& config, Runtime* runtime)
      : RuntimeFlag(runtime, config.runtime_key(), config.default_value().value()) {}
  bool Get() const { return Bits() != 0; }
};

/// A share of cases. Built on the main thread, read on any. A whole number in the runtime means
/// percent.
class RuntimeFraction : public runtime_internal::Handle {
 public:
  /// No case at all.
  RuntimeFraction() = default;
  RuntimeFraction(Runtime* runtime, std::string_view key, Fraction fallback)
      : Handle(runtime, key, Runtime::Kind::kFraction, Pack(fallback)) {}
  RuntimeFraction(const envoy::config::core::v3::RuntimeFractionalPercent& config, Runtime* runtime)
      : RuntimeFraction(runtime, config.runtime_key(), Fraction::Of(config.default_value())) {}

  Fraction Get() const {
    const uint64_t bits = Bits();
    return {static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32)};
  }
  /// Draws: true in that share of calls. `rng` is the worker's; nothing is drawn for all or none.
  template <class Rng>
  bool Draw(Rng& rng) const {
    const Fraction share = Get();
    if (share.numerator == 0) return false;
    return share.numerator >= share.denominator || rng.Below(share.denominator) < share.numerator;
  }
  /// The same for a number that the caller has drawn or hashed, as Envoy counts: the remainder of
  /// `random` by the denominator is below the numerator.
  bool Holds(uint64_t random) const {
    const Fraction share = Get();
    return share.numerator != 0 && random % share.denominator < share.numerator;
  }

  static uint64_t Pack(Fraction share) {
    return uint64_t{share.denominator} << 32 | share.numerator;
  }
};

}  // namespace sluice::config
