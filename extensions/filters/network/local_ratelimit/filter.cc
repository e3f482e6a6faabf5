// Tokens for connections. Worker threads; what is built from the configuration, main thread.
#include "extensions/filters/network/local_ratelimit/filter.h"

#include <map>

#include "api/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit.pb.h"
#include "source/extension/rate_limit/token_rate.h"

namespace sluice {
namespace {

using Proto = envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit;

// Filters of one process that name the same key share a bucket as long as one of them lives.
std::shared_ptr<TokenBucket> BucketFor(const Proto& config, TokenRate rate) {
  if (config.share_key().empty()) return std::make_shared<TokenBucket>(rate);
  static auto* const shared = new std::map<std::string, std::weak_ptr<TokenBucket>>;
  std::weak_ptr<TokenBucket>& known =
      (*shared)[Cat(config.share_key(), "\n", config.token_bucket().SerializeAsString())];
  std::shared_ptr<TokenBucket> bucket = known.lock();
  if (bucket == nullptr) known = bucket = std::make_shared<TokenBucket>(rate);
  return bucket;
}

absl::StatusOr<NetworkFilterPtr> Create(const Proto& config, FactoryContext& context) {
  const TokenRate rate = BuildTokenRate(config.token_bucket(), context.path + ".token_bucket",
                                        context.server.diagnostics);
  const stats::Scope scope =
      context.server.stats.Root()
          .Sub("local_rate_limit")
          .Sub(config.stat_prefix(), stats::tag::kLocalNetworkRateLimitPrefix);
  return std::make_unique<NetworkLocalRateLimit>(
      BucketFor(config, rate),
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
