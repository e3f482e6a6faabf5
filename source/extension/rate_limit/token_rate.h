// The rate of a token bucket from its configuration.
#pragma once

#include <string>

#include "api/envoy/type/v3/token_bucket.pb.h"
#include "source/base/token_bucket.h"
#include "source/config/diagnostics.h"

namespace sluice {

/// Main thread. `path` is that of the bucket: a fill_interval below 50 ms, the shortest of Envoy's
/// local rate limits, is an error there, and the rate is empty.
TokenRate BuildTokenRate(const envoy::type::v3::TokenBucket& config, const std::string& path,
                         config::Diagnostics& diagnostics);

}  // namespace sluice
