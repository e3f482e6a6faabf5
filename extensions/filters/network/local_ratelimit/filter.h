// envoy.filters.network.local_ratelimit: how many connections may begin in a time. Immutable but
// for the bucket, which all workers share without a lock.
#pragma once

#include <memory>

#include "source/base/token_bucket.h"
#include "source/config/runtime.h"
#include "source/extension/registry.h"
#include "source/observe/stats/stats.h"

namespace sluice {

class NetworkLocalRateLimit final : public NetworkFilter {
 public:
  NetworkLocalRateLimit(std::shared_ptr<TokenBucket> bucket, config::RuntimeFlag enabled,
                        Counter rate_limited)
      : bucket_(std::move(bucket)), enabled_(std::move(enabled)), rate_limited_(rate_limited) {}

  /// Not a coroutine.
  Task<> Handle(Connection& connection, NetworkNext next) const override;

 private:
  const std::shared_ptr<TokenBucket> bucket_;
  const config::RuntimeFlag enabled_;
  const Counter rate_limited_;
};

/// Makes the filter known.
void RegisterNetworkLocalRateLimit(Registry& registry);

}  // namespace sluice
