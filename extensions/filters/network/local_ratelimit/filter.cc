// Tokens for connections. Worker threads; what is built from the configuration, main thread.
#include "extensions/filters/network/local_ratelimit/filter.h"

#include <map>

#include "api/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit.pb.h"
#include "source/config/durations.h"

namespace sluice {
namespace {

using Proto = envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit;

std::shared_ptr<TokenBucket> MakeBucket(const envoy::type::v3::TokenBucket& config) {
  const double tokens = config.has_tokens_per_fill() ? config.tokens_per_fill().value() : 1;
  return std::make_shared<TokenBucket>(
      TokenRate::Of(config.max_tokens(), tokens, config::ToDuration(config.fill_interval())));
}

// Filters of one process that name the same key share a bucket as long as one of them lives.
std::shared_ptr<TokenBucket> BucketFor(const Proto& config) {
  if (config.share_key().empty()) return MakeBucket(config.token_bucket());
  static auto* const shared = new std::map<std::string, std::weak_ptr<TokenBucket>>;
  std::weak_ptr<TokenBucket>& known =
      (*shared)[Cat(config.share_key(), "\n", config.token_bucket().SerializeAsString())];
  std::shared_ptr<TokenBucket> bucket = known.lock();
  if (bucket == nullptr) known = bucket = MakeBucket(config.token_bucket());
  return bucket;
}

absl::StatusOr<NetworkFilterPtr> Create(const Proto& config, FactoryContext& context) {
  if (config::ToDuration(config.token_bucket().fill_interval()) < std::chrono::milliseconds(50))
    context.Error("token_bucket.fill_interval",
                  "local rate limit token bucket fill timer must be >= 50ms");
  const stats::Scope scope =
      context.server.stats.Root()
          .Sub("local_rate_limit")
          .Sub(config.stat_prefix(), stats::tag::kLocalNetworkRateLimitPrefix);
  return std::make_unique<NetworkLocalRateLimit>(
      BucketFor(config),
      config.has_runtime_enabled()
          ? config::RuntimeFlag(config.runtime_enabled(), context.server.runtime)
          : config::RuntimeFlag(nullptr, "", true),
      scope.counter("rate_limited"));
}

}  // namespace

Task<> NetworkLocalRateLimit::Handle(Connection& connection, NetworkNext next) const {
  if (!enabled_.Get() || bucket_->Take(1, Now())) return next(connection);
  rate_limited_.Add();
  next.Refuse(connection, {.local_close_reason = "local_ratelimit_close_over_limit",
                           .flag = ResponseFlag::kUpstreamRetryLimitExceeded});  // as Envoy
  return {};
}

void RegisterNetworkLocalRateLimit(Registry& registry) {
  registry.AddNetworkFilter<Proto>("envoy.filters.network.local_ratelimit",
                                   Posture::kRobustToUntrustedDownstream, Create);
}

}  // namespace sluice
