// Layers, keys and slots. Main thread.
#include "source/config/runtime.h"

#include <algorithm>
#include <set>

namespace sluice::config {
namespace {

// The bits of the value as that kind; nothing when it is of another.
std::optional<uint64_t> BitsOf(const RuntimeValue& value, Runtime::Kind kind) {
  switch (kind) {
    case Runtime::Kind::kUInt32:
      if (value.integer && *value.integer <= UINT32_MAX) return *value.integer;
      return std::nullopt;
    case Runtime::Kind::kDouble:
      if (value.number) return std::bit_cast<uint64_t>(*value.number);
      return std::nullopt;
    case Runtime::Kind::kPercent:
      if (value.number && *value.number >= 0 && *value.number <= 100)
        return std::bit_cast<uint64_t>(*value.number);
      return std::nullopt;
    case Runtime::Kind::kFlag:
      if (value.flag) return *value.flag;
      return std::nullopt;
    case Runtime::Kind::kFraction:
      if (value.fraction) return RuntimeFraction::Pack(*value.fraction);
      if (value.integer)
        return RuntimeFraction::Pack(
            {static_cast<uint32_t>(std::min<uint64_t>(*value.integer, 100)), 100});
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

Fraction Fraction::Of(const envoy::type::v3::FractionalPercent& percent) {
  switch (percent.denominator()) {
    case envoy::type::v3::FractionalPercent::TEN_THOUSAND:
      return {percent.numerator(), 10'000};
    case envoy::type::v3::FractionalPercent::MILLION:
      return {percent.numerator(), 1'000'000};
    default:
      return {percent.numerator(), 100};
  }
}

void Runtime::Publish(std::vector<RuntimeLayer> layers) {
  layers_ = std::move(layers);
  for (const auto& [key, binding] : bindings_) {
    if (const auto slot = binding.slot.lock())
      slot->store(Resolve(key, binding), std::memory_order_relaxed);
  }
}

const RuntimeValue* Runtime::Find(std::string_view key) const {
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    const auto found = layer->values.find(key);
    if (found != layer->values.end()) return &found->second;
  }
  return nullptr;
}

size_t Runtime::keys() const {
  std::set<std::string_view> keys;
  for (const RuntimeLayer& layer : layers_) {
    for (const auto& [key, value] : layer.values) keys.insert(key);
  }
  return keys.size();
}

std::vector<std::string> Runtime::UnreadKeys() const {
  std::set<std::string> keys;
  for (const RuntimeLayer& layer : layers_) {
    for (const auto& [key, value] : layer.values) {
      if (!bindings_.contains(key)) keys.insert(key);
    }
  }
  return {keys.begin(), keys.end()};
}

std::shared_ptr<const Runtime::Slot> Runtime::Bind(std::string_view key, Kind kind,
                                                   uint64_t fallback) {
  // One slot serves all that ask for the same; what has ended makes room.
  for (auto [at, end] = bindings_.equal_range(key); at != end;) {
    const auto slot = at->second.slot.lock();
    if (slot != nullptr && at->second.kind == kind && at->second.fallback == fallback) return slot;
    at = slot == nullptr ? bindings_.erase(at) : std::next(at);
  }
  // Clusters that come and go have keys of their own.
  if (bindings_.size() >= purge_at_) {
    std::erase_if(bindings_, [](const auto& entry) { return entry.second.slot.expired(); });
    purge_at_ = std::max<size_t>(2 * bindings_.size(), 4096);
  }
  const auto slot = std::make_shared<Slot>();
  const Binding binding{kind, fallback, slot};
  slot->store(Resolve(key, binding), std::memory_order_relaxed);
  bindings_.emplace(key, binding);
  return slot;
}

uint64_t Runtime::Resolve(std::string_view key, const Binding& binding) const {
  const RuntimeValue* value = Find(key);
  return value == nullptr ? binding.fallback
                          : BitsOf(*value, binding.kind).value_or(binding.fallback);
}

namespace runtime_internal {

Handle::Handle(Runtime* runtime, std::string_view key, Runtime::Kind kind, uint64_t fallback)
    : fixed_(fallback) {
  if (runtime != nullptr && !key.empty()) slot_ = runtime->Bind(key, kind, fallback);
}

}  // namespace runtime_internal
}  // namespace sluice::config
