// RetryHosts: which hosts a retry had better not take (RetryPolicy.retry_host_predicate and
// retry_priority), and what is known of the attempts before it. Immutable but for AttemptedHosts,
// which is one request's.
#pragma once

#include <cstdint>
#include <vector>

#include <google/protobuf/struct.pb.h>

#include "source/upstream/endpoint.h"

namespace sluice {

struct RetryHosts {
  bool previous = false;  // those that were tried before
  bool canary = false;    // those whose metadata says { envoy.lb: { canary: true } }
  std::vector<google::protobuf::Struct> metadata;  // those whose metadata has all of one of these
  /// After so many attempts the priorities that they went to are left out; 0: none are.
  uint32_t priority_frequency = 0;
  uint32_t selections = 1;  // how often another host is asked for

  bool heeds_anything() const {
    return previous || canary || !metadata.empty() || priority_frequency != 0;
  }
};

/// Where earlier attempts of one request went, so that the next one can go elsewhere.
struct AttemptedHosts {
  const RetryHosts& avoid;
  EndpointList hosts;
  bool retrying = false;  // the first attempt may go anywhere
  size_t forgotten = 0;   // hosts whose priorities count no more, as all were tried

  /// Whether another host is to be asked for.
  bool Rejects(const Endpoint& endpoint) const;
  /// By priority: whether the next attempt leaves it out. Empty: all may be chosen.
  std::vector<bool> ExcludedPriorities() const;
};

/// Whether `has` has every field of `wanted` with the same value. `list_as_any`: where it has a
/// list, it is enough that one of its elements has that value.
bool HasAll(const google::protobuf::Struct& has, const google::protobuf::Struct& wanted,
            bool list_as_any);

}  // namespace sluice
