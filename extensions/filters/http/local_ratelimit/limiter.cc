// Which buckets a request must find a token in. See limiter.h for threads.
#include "extensions/filters/http/local_ratelimit/limiter.h"

#include <algorithm>

#include "source/extension/rate_limit/token_rate.h"

namespace sluice {
namespace {

namespace v3 = envoy::extensions::filters::http::local_ratelimit::v3;

template <class Entries>
uint64_t HashOf(const Entries& entries) {
  uint64_t hash = entries.size();
  for (const auto& [key, value] : entries)
    hash = absl::HashOf(hash, Absl(std::string_view(key)), Absl(std::string_view(value)));
  return hash;
}

bool IsOf(const LimiterSettings::Descriptor& settings, const RateLimitDescriptor& descriptor) {
  return std::equal(settings.entries.begin(), settings.entries.end(), descriptor.entries.begin(),
                    descriptor.entries.end(), [](const auto& wanted, const auto& entry) {
                      return wanted.first == entry.key &&
                             (wanted.second.empty() || wanted.second == entry.value);
                    });
}

// Calls `visit` with the values of the open places.
template <class Visit>
void ForEachOpen(const LimiterSettings::Descriptor& settings, const RateLimitDescriptor& descriptor,
                 Visit visit) {
  for (size_t i = 0; i < settings.entries.size(); ++i) {
    if (settings.entries[i].second.empty()) visit(descriptor.entries[i].value);
  }
}

}  // namespace

LimiterSettings LimiterSettings::Build(const v3::LocalRateLimit& config, const std::string& path,
                                       config::Diagnostics& diagnostics) {
  LimiterSettings settings;
  if (config.has_token_bucket())
    settings.default_rate =
        BuildTokenRate(config.token_bucket(), path + ".token_bucket", diagnostics);
  settings.always_ask_default = !config.has_always_consume_default_token_bucket() ||
                                config.always_consume_default_token_bucket().value();
  if (config.has_max_dynamic_descriptors())
    settings.max_open_buckets = config.max_dynamic_descriptors().value();
  for (int i = 0; i < config.descriptors_size(); ++i) {
    const auto& from = config.descriptors(i);
    const std::string element = Cat(path, ".descriptors[", i, "]");
    Descriptor descriptor;
    for (const auto& entry : from.entries()) {
      descriptor.open |= entry.value().empty();
      descriptor.entries.emplace_back(entry.key(), entry.value());
    }
    descriptor.rate = BuildTokenRate(from.token_bucket(), element + ".token_bucket", diagnostics);
    descriptor.shadow = from.shadow_mode();
    for (const Descriptor& other : settings.descriptors) {
      if (other.entries == descriptor.entries)
        diagnostics.Error(element + ".entries", "another descriptor has the same entries");
    }
    settings.descriptors.push_back(std::move(descriptor));
  }
  return settings;
}

std::shared_ptr<TokenBucket> OpenBuckets::Find(const LimiterSettings::Descriptor& settings,
                                               const RateLimitDescriptor& descriptor, size_t worker,
                                               TimePoint now) {
  uint64_t hash = 0;
  ForEachOpen(settings, descriptor,
              [&](std::string_view value) { hash = absl::HashOf(hash, Absl(value)); });
  Cache& cache = caches_[worker];
  const auto found = cache.nodes.find(hash);
  if (found != cache.nodes.end() && !found->second->gone.load(std::memory_order_relaxed)) {
    const NodePtr& node = found->second;
    std::string_view rest = node->key;
    bool same = true;
    ForEachOpen(settings, descriptor, [&](std::string_view value) {
      same = same && rest.starts_with(value) && rest.size() > value.size() &&
             rest[value.size()] == '\n';
      if (same) rest.remove_prefix(value.size() + 1);
    });
    if (same && rest.empty()) {
      if (!node->used.load(std::memory_order_relaxed))
        node->used.store(true, std::memory_order_relaxed);
      return {node, &node->bucket};
    }
  }
  std::string key;
  // No header, query or address holds a line feed.
  ForEachOpen(settings, descriptor, [&](std::string_view value) { AppendTo(&key, value, "\n"); });
  const NodePtr node = FindShared(std::move(key), now);
  if (cache.nodes.size() >= 2 * max_)
    absl::erase_if(cache.nodes, [](const auto& entry) { return entry.second->gone.load(); });
  cache.nodes[hash] = node;
  return {node, &node->bucket};
}

OpenBuckets::NodePtr OpenBuckets::FindShared(std::string key, TimePoint now) {
  std::lock_guard lock(mutex_);
  const auto found = nodes_.find(key);
  if (found != nodes_.end()) {
    found->second->used.store(true, std::memory_order_relaxed);
    return found->second;
  }
  while (nodes_.size() >= max_) {
    // The oldest one that nobody used since it was last looked at.
    if (order_.front()->used.exchange(false, std::memory_order_relaxed)) {
      order_.splice(order_.end(), order_, order_.begin());
      continue;
    }
    order_.front()->gone.store(true, std::memory_order_relaxed);
    nodes_.erase(order_.front()->key);
    order_.pop_front();
  }
  auto node = std::make_shared<Node>(std::move(key), rate_, now);
  nodes_.emplace(node->key, node);
  order_.push_back(node);
  return node;
}

Limiter::Limiter(const LimiterSettings& settings, size_t workers, TimePoint now)
    : settings_(settings) {
  if (settings.default_rate.has_value()) default_.emplace(*settings.default_rate, now);
  for (uint32_t i = 0; i < settings.descriptors.size(); ++i) {
    const LimiterSettings::Descriptor& descriptor = settings.descriptors[i];
    buckets_.emplace_back(descriptor.rate, now);
    open_.push_back(nullptr);
    if (descriptor.open) {
      open_.back() =
          std::make_unique<OpenBuckets>(descriptor.rate, settings.max_open_buckets, workers);
      open_index_.push_back(i);
    } else {
      exact_[HashOf(descriptor.entries)].push_back(i);
    }
  }
}

// An exact descriptor comes before those with open values; the first of these that fits counts.
void Limiter::FindMatches(const RateLimitDescriptor& descriptor, size_t worker, TimePoint now,
                          Matches* out) {
  const double hits = static_cast<double>(descriptor.hits);
  if (!exact_.empty()) {
    const auto found = exact_.find(HashOf(descriptor.entries));
    if (found != exact_.end()) {
      for (const uint32_t i : found->second) {
        if (!IsOf(settings_.descriptors[i], descriptor)) continue;
        out->push_back({&buckets_[i], nullptr, hits, settings_.descriptors[i].shadow});
        return;
      }
    }
  }
  for (const uint32_t i : open_index_) {
    const LimiterSettings::Descriptor& settings = settings_.descriptors[i];
    if (!IsOf(settings, descriptor)) continue;
    auto bucket = open_[i]->Find(settings, descriptor, worker, now);
    TokenBucket* const raw = bucket.get();
    out->push_back({raw, std::move(bucket), hits, settings.shadow});
    return;
  }
}

Limiter::Verdict Limiter::Ask(const RateLimitDescriptors& descriptors, size_t worker, TimePoint now,
                              bool explain) {
  Matches matches;
  if (!settings_.descriptors.empty()) {
    for (const RateLimitDescriptor& descriptor : descriptors)
      FindMatches(descriptor, worker, now, &matches);
    // The slowest bucket first: what it refuses costs the others nothing.
    if (matches.size() > 1) {
      std::sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) {
        return a.bucket->rate().per_second < b.bucket->rate().per_second;
      });
    }
  }
  Verdict verdict;
  const auto decided_by = [&](const TokenBucket& bucket) {
    if (!explain) return;
    verdict.limit = static_cast<uint64_t>(bucket.rate().capacity);
    verdict.remaining = bucket.Remaining(now);
    verdict.seconds_to_next = bucket.SecondsToNext(now);
  };
  for (const Match& match : matches) {
    if (match.bucket->Take(match.hits, now)) continue;
    if (match.shadow) {
      verdict.shadowed = true;
      continue;
    }
    verdict.allowed = false;
    decided_by(*match.bucket);
    return verdict;
  }
  if (default_.has_value() && (matches.empty() || settings_.always_ask_default)) {
    verdict.allowed = default_->Take(1, now);
    if (!verdict.allowed || matches.empty()) {
      decided_by(*default_);
      return verdict;
    }
  }
  if (!matches.empty()) decided_by(*matches[0].bucket);
  return verdict;
}

}  // namespace sluice
