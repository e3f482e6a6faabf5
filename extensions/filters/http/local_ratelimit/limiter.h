// The token buckets of one local rate limit: a default one, one for each configured descriptor, and
// for descriptors with an open value one for each value that was met. Shared by all workers.
#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "api/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "source/base/strings.h"
#include "source/base/token_bucket.h"
#include "source/config/diagnostics.h"
#include "source/extension/rate_limit/rate_limit.h"

namespace sluice {

/// What the configuration says of the buckets. Immutable.
struct LimiterSettings {
  struct Descriptor {
    std::vector<std::pair<std::string, std::string>> entries;  // an empty value: any
    TokenRate rate;
    bool shadow = false;  // its bucket is used and refuses nothing
    bool open = false;    // has an entry with any value
  };

  std::optional<TokenRate> default_rate;
  std::vector<Descriptor> descriptors;
  bool always_ask_default = true;  // besides the bucket of a descriptor
  size_t max_open_buckets = 20;    // of one open descriptor

  /// Reports problems at and below `path`.
  static LimiterSettings Build(
      const envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit& config,
      const std::string& path, config::Diagnostics& diagnostics);
};

/// The buckets of an open descriptor, by the values that stand in its open places. A worker finds
/// those it knows in a map of its own, without a lock; the others share theirs under a mutex.
class OpenBuckets {
 public:
  /// Room for `max` buckets; beyond that one that was not used lately makes room.
  OpenBuckets(TokenRate rate, size_t max, size_t workers)
      : rate_(rate), max_(max), caches_(workers) {}

  /// The bucket of the values in `descriptor` that `settings` leaves open; never null.
  std::shared_ptr<TokenBucket> Find(const LimiterSettings::Descriptor& settings,
                                    const RateLimitDescriptor& descriptor, size_t worker,
                                    TimePoint now);

 private:
  struct Node {
    Node(std::string key, TokenRate rate, TimePoint now) : key(std::move(key)), bucket(rate, now) {}
    const std::string key;
    TokenBucket bucket;
    std::atomic<bool> used{true};   // since the sweep last came by
    std::atomic<bool> gone{false};  // made room for another
  };
  using NodePtr = std::shared_ptr<Node>;
  struct alignas(64) Cache {
    absl::flat_hash_map<uint64_t, NodePtr> nodes;  // by the hash of the key
  };

  NodePtr FindShared(std::string key, TimePoint now);

  const TokenRate rate_;
  const size_t max_;
  // Each belongs to one worker.
  std::vector<Cache> caches_;
  // Under the mutex.
  std::mutex mutex_;
  StringMap<NodePtr> nodes_;
  std::list<NodePtr> order_;
};

class Limiter {
 public:
  /// `settings` outlives the limiter; `workers` bounds the index that Ask is given.
  Limiter(const LimiterSettings& settings, size_t workers, TimePoint now);

  struct Verdict {
    bool allowed = true;
    bool shadowed = false;  // a shadow descriptor would have refused it
    /// If asked for: the bucket by which it was decided; limit 0: no bucket had a say.
    uint64_t limit = 0, remaining = 0, seconds_to_next = 0;
  };

  /// Worker: takes the request's tokens. Without configured descriptors `descriptors` is not read.
  Verdict Ask(const RateLimitDescriptors& descriptors, size_t worker, TimePoint now, bool explain);

 private:
  struct Match {
    TokenBucket* bucket;
    std::shared_ptr<TokenBucket> owned;  // of an open descriptor
    double hits;
    bool shadow;
  };
  using Matches = absl::InlinedVector<Match, 4>;

  void FindMatches(const RateLimitDescriptor& descriptor, size_t worker, TimePoint now,
                   Matches* out);

  const LimiterSettings& settings_;
  std::optional<TokenBucket> default_;
  std::deque<TokenBucket> buckets_;                 // by descriptor; unused for open ones
  std::vector<std::unique_ptr<OpenBuckets>> open_;  // by descriptor; null for others
  absl::flat_hash_map<uint64_t, absl::InlinedVector<uint32_t, 1>> exact_;  // by hash of the entries
  std::vector<uint32_t> open_index_;
};

}  // namespace sluice
