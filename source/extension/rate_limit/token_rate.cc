// Main thread, while a configuration is loaded.
#include "source/extension/rate_limit/token_rate.h"

#include "source/config/durations.h"

namespace sluice {

TokenRate BuildTokenRate(const envoy::type::v3::TokenBucket& config, const std::string& path,
                         config::Diagnostics& diagnostics) {
  const Duration interval = config::ToDuration(config.fill_interval());
  if (interval < std::chrono::milliseconds(50)) {
    diagnostics.Error(path + ".fill_interval",
                      "local rate limit token bucket fill timer must be >= 50ms");
    return {};
  }
  const double tokens = config.has_tokens_per_fill() ? config.tokens_per_fill().value() : 1;
  return TokenRate::Of(config.max_tokens(), tokens, interval);
}

}  // namespace sluice
