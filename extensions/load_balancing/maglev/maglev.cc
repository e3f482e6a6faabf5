// The table ("Maglev: A Fast and Reliable Software Network Load Balancer", 3.4): made on the main
// thread, read on workers.
#include "extensions/load_balancing/maglev/maglev.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "api/envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "source/base/hash.h"

namespace sluice {
namespace {

constexpr uint32_t kFree = UINT32_MAX;

struct Table final : PickTable {
  std::vector<uint32_t> places;
};

// An endpoint while the table is filled: the places that it would like, best first.
struct Claimant {
  uint64_t offset, skip;
  double share;
  double reach = 0;  // it takes its next place when turns * share gets here
  uint64_t tried = 0;
  size_t count = 0;
  uint32_t endpoint = 0;
  std::string key{};

  size_t Next(size_t size) { return (offset + skip * tried++) % size; }
};

bool IsPrime(uint64_t number) {
  for (uint64_t divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) return false;
  }
  return number > 1;
}

class MaglevBalancer final : public HashBalancer {
 public:
  MaglevBalancer(const MaglevSettings& settings, const BalancerOptions& options,
                 const stats::Scope& scope)
      : HashBalancer(settings.hashing, options),
        size_(settings.table_size),
        min_(scope.Sub("maglev_lb").gauge("min_entries_per_host")),
        max_(scope.Sub("maglev_lb").gauge("max_entries_per_host")) {}

  std::unique_ptr<const PickTable> Prepare(const PickList& list) const override {
    std::vector<Claimant> claimants;
    const std::vector<double> shares = Shares(list);
    for (size_t i = 0; i < shares.size(); ++i) {
      const std::string key = KeyOf(*list.endpoints[i]);
      claimants.push_back({Hash64(key) % size_, Hash64(key, 1) % (size_ - 1) + 1, shares[i]});
      claimants.back().endpoint = static_cast<uint32_t>(i);
      claimants.back().key = key;
    }
    // The table must not depend on the order in which DNS names the addresses. As Envoy's.
    std::sort(claimants.begin(), claimants.end(), [](const Claimant& a, const Claimant& b) {
      return std::tie(a.key, a.endpoint) < std::tie(b.key, b.endpoint);
    });
    auto table = std::make_unique<Table>();
    table->places.assign(size_, kFree);
    Fill(claimants, table->places);
    const auto [fewest, most] =
        std::minmax_element(claimants.begin(), claimants.end(),
                            [](const Claimant& a, const Claimant& b) { return a.count < b.count; });
    min_.Set(static_cast<int64_t>(fewest->count));
    max_.Set(static_cast<int64_t>(most->count));
    return table;
  }

 private:
  // In each turn the heaviest take a place, lighter ones in some turns only.
  static void Fill(std::vector<Claimant>& claimants, std::vector<uint32_t>& places) {
    double heaviest = 0;
    for (const Claimant& claimant : claimants) heaviest = std::max(heaviest, claimant.share);
    size_t taken = 0;
    for (double turn = 1; taken < places.size(); ++turn) {
      for (size_t i = 0; i < claimants.size() && taken < places.size(); ++i) {
        Claimant& claimant = claimants[i];
        if (turn * claimant.share < claimant.reach) continue;
        claimant.reach += heaviest;
        size_t place = claimant.Next(places.size());
        while (places[place] != kFree) place = claimant.Next(places.size());
        places[place] = claimant.endpoint;
        ++claimant.count;
        ++taken;
      }
    }
  }

  size_t Locate(const PickTable& table, uint64_t hash) const override {
    return static_cast<const Table&>(table).places[hash % size_];
  }

  const uint64_t size_;
  const Gauge min_, max_;
};

using Proto = envoy::extensions::load_balancing_policies::maglev::v3::Maglev;

absl::StatusOr<std::unique_ptr<const Balancer>> Create(const Proto& config,
                                                       FactoryContext& context) {
  MaglevSettings settings;
  if (config.has_table_size()) settings.table_size = config.table_size().value();
  if (!IsPrime(settings.table_size))
    return Invalid("The table size of maglev must be prime number, got ", settings.table_size);
  settings.hashing.use_hostname = config.consistent_hashing_lb_config().use_hostname_for_hashing();
  settings.hashing.balance_factor =
      config.consistent_hashing_lb_config().hash_balance_factor().value();
  BalancerOptions options;
  options.locality_weighted = config.has_locality_weighted_lb_config();
  return Maglev(settings, options, context.scope);
}

}  // namespace

std::unique_ptr<const Balancer> Maglev(const MaglevSettings& settings,
                                       const BalancerOptions& options, const stats::Scope& scope) {
  return std::make_unique<MaglevBalancer>(settings, options, scope);
}

void RegisterMaglev(Registry& registry) {
  registry.AddBalancer<Proto>("envoy.load_balancing_policies.maglev", Create);
}

}  // namespace sluice
