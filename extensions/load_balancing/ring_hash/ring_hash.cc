// The ring: made on the main thread, read on workers.
#include "extensions/load_balancing/ring_hash/ring_hash.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "api/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "source/base/hash.h"

namespace sluice {
namespace {

// MurmurHash64A (Austin Appleby, public domain), with the seed of GNU's standard library.
uint64_t Murmur(std::string_view bytes) {
  constexpr uint64_t kSeed = 0xc70f6907;
  constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995;
  constexpr int kShift = 47;
  uint64_t hash = kSeed ^ (bytes.size() * kMultiplier);
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    word *= kMultiplier;
    word ^= word >> kShift;
    hash = (hash ^ word * kMultiplier) * kMultiplier;
  }
  if (!bytes.empty()) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    hash = (hash ^ word) * kMultiplier;
  }
  hash ^= hash >> kShift;
  hash *= kMultiplier;
  return hash ^ hash >> kShift;
}

struct Ring final : PickTable {
  struct Point {
    uint64_t hash;
    uint32_t index;
  };
  std::vector<Point> points;  // by hash
};

class RingHashBalancer final : public HashBalancer {
 public:
  RingHashBalancer(const RingHashSettings& settings, const BalancerOptions& options,
                   const stats::Scope& scope)
      : HashBalancer(settings.hashing, options),
        settings_(settings),
        size_(scope.Sub("ring_hash_lb").gauge("size")),
        min_(scope.Sub("ring_hash_lb").gauge("min_hashes_per_host")),
        max_(scope.Sub("ring_hash_lb").gauge("max_hashes_per_host")) {}

  // As many points as it takes for the lightest endpoint to have a whole number of them.
  std::unique_ptr<const PickTable> Prepare(const PickList& list) const override {
    const std::vector<double> shares = Shares(list);
    const double lightest = *std::min_element(shares.begin(), shares.end());
    const double scale =
        std::min(std::ceil(lightest * static_cast<double>(settings_.minimum_size)) / lightest,
                 static_cast<double>(settings_.maximum_size));
    auto ring = std::make_unique<Ring>();
    ring->points.reserve(static_cast<size_t>(std::ceil(scale)));
    double wanted = 0;
    size_t fewest = SIZE_MAX, most = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      wanted += scale * shares[i];
      const std::string key = KeyOf(*list.endpoints[i]);
      size_t count = 0;
      for (; static_cast<double>(ring->points.size()) < wanted; ++count) {
        const std::string name = Cat(key, "_", count);
        const uint64_t hash = settings_.murmur ? Murmur(name) : Hash64(name);
        ring->points.push_back({hash, static_cast<uint32_t>(i)});
      }
      fewest = std::min(fewest, count);
      most = std::max(most, count);
    }
    std::sort(ring->points.begin(), ring->points.end(),
              [](const Ring::Point& a, const Ring::Point& b) { return a.hash < b.hash; });
    size_.Set(static_cast<int64_t>(ring->points.size()));
    min_.Set(static_cast<int64_t>(fewest));
    max_.Set(static_cast<int64_t>(most));
    return ring;
  }

 private:
  size_t Locate(const PickTable& table, uint64_t hash) const override {
    const std::vector<Ring::Point>& points = static_cast<const Ring&>(table).points;
    const auto found =
        std::lower_bound(points.begin(), points.end(), hash,
                         [](const Ring::Point& point, uint64_t h) { return point.hash < h; });
    return found == points.end() ? points.front().index : found->index;
  }

  const RingHashSettings settings_;
  const Gauge size_, min_, max_;
};

using Proto = envoy::extensions::load_balancing_policies::ring_hash::v3::RingHash;

absl::StatusOr<std::unique_ptr<const Balancer>> Create(const Proto& config,
                                                       FactoryContext& context) {
  RingHashSettings settings;
  if (config.has_minimum_ring_size()) settings.minimum_size = config.minimum_ring_size().value();
  if (config.has_maximum_ring_size()) settings.maximum_size = config.maximum_ring_size().value();
  if (settings.minimum_size > settings.maximum_size) {
    return Invalid("ring hash: minimum_ring_size (", settings.minimum_size,
                   ") > maximum_ring_size (", settings.maximum_size, ")");
  }
  settings.murmur = config.hash_function() == Proto::MURMUR_HASH_2;
  settings.hashing.use_hostname = config.use_hostname_for_hashing();
  settings.hashing.balance_factor = config.hash_balance_factor().value();
  if (config.has_consistent_hashing_lb_config()) {
    const auto& hashing = config.consistent_hashing_lb_config();
    settings.hashing.use_hostname = hashing.use_hostname_for_hashing();
    settings.hashing.balance_factor = hashing.hash_balance_factor().value();
  }
  BalancerOptions options;
  options.locality_weighted = config.has_locality_weighted_lb_config();
  return RingHash(settings, options, context.scope);
}

}  // namespace

std::unique_ptr<const Balancer> RingHash(const RingHashSettings& settings,
                                         const BalancerOptions& options,
                                         const stats::Scope& scope) {
  return std::make_unique<RingHashBalancer>(settings, options, scope);
}

void RegisterRingHash(Registry& registry) {
  registry.AddBalancer<Proto>("envoy.load_balancing_policies.ring_hash", Create);
}

}  // namespace sluice
