// Bounded loads: see "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam).
#include "source/upstream/hash_balancer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sluice {

std::string HashBalancer::KeyOf(const Endpoint& endpoint) const {
  const Endpoint::Settings& settings = endpoint.settings();
  if (!settings.hash_key.empty()) return settings.hash_key;
  return hashing_.use_hostname && !settings.hostname.empty() ? settings.hostname
                                                             : endpoint.address().ToString();
}

std::vector<double> HashBalancer::Shares(const PickList& list) {
  std::vector<double> shares = list.weights;
  if (shares.empty()) shares.assign(list.endpoints.size(), 1);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

size_t HashBalancer::Pick(const PickList& list, uint64_t hash, ListState&, Rng& rng) const {
  if (hash == 0) hash = rng();
  const size_t index = Locate(*list.table, hash);
  return hashing_.balance_factor == 0 ? index : WithinBounds(list, index, hash);
}

size_t HashBalancer::WithinBounds(const PickList& list, size_t index, uint64_t hash) const {
  const size_t size = list.endpoints.size();
  int64_t active = 0;
  double weights = 0;
  for (size_t i = 0; i < size; ++i) {
    active += list.endpoints[i]->active();
    weights += list.weights.empty() ? 1 : list.weights[i];
  }
  // How full an endpoint would be; above 1 it has more than its bound.
  const auto fullness = [&](size_t i) {
    const double share = (list.weights.empty() ? 1 : list.weights[i]) / weights;
    const double bound = std::max(
        1.0, std::ceil(static_cast<double>(active + 1) * share * hashing_.balance_factor / 100));
    return static_cast<double>(list.endpoints[i]->active() + 1) / bound;
  };
  if (size == 1 || fullness(index) <= 1) return index;
  // The others in an order that depends on the hash alone: who is passed on goes the same way each
  // time. A step that shares no divisor with the size comes by everyone.
  size_t step = 1 + (hash >> 32) % (size - 1);
  while (std::gcd(step, size) != 1) step = step % (size - 1) + 1;
  size_t best = index;
  double least = fullness(index);
  for (size_t i = 1, next = (index + step) % size; i < size; ++i, next = (next + step) % size) {
    const double full = fullness(next);
    if (full <= 1) return next;
    if (full >= least) continue;
    best = next;
    least = full;
  }
  return best;
}

}  // namespace sluice
