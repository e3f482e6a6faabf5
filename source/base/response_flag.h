// Response flags: why a request ended as it did, under Envoy's short names (%RESPONSE_FLAGS%).
// Plain values, any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace sluice {

enum class ResponseFlag : uint8_t {
  kFailedLocalHealthCheck,
  kNoHealthyUpstream,
  kUpstreamRequestTimeout,
  kLocalReset,
  kUpstreamRemoteReset,
  kUpstreamConnectionFailure,
  kUpstreamConnectionTermination,
  kUpstreamOverflow,
  kNoRouteFound,
  kDelayInjected,
  kFaultInjected,
  kRateLimited,
  kUnauthorizedExternalService,
  kRateLimitServiceError,
  kDownstreamConnectionTermination,
  kUpstreamRetryLimitExceeded,
  kStreamIdleTimeout,
  kInvalidEnvoyRequestHeaders,
  kDownstreamProtocolError,
  kUpstreamMaxStreamDurationReached,
  kNoFilterConfigFound,
  kDurationTimeout,
  kUpstreamProtocolError,
  kNoClusterFound,
  kOverloadManager,
  kDnsResolutionFailed,
  kDropOverload,
  kDownstreamRemoteReset,
  kUnconditionalDropOverload,
  kEgressDenied,  // Ours: the egress guard refused the destination.
  kCount,
};

struct ResponseFlagName {
  ResponseFlag flag;
  std::string_view short_name;  // "UF"
  std::string_view long_name;   // "UpstreamConnectionFailure"
};

/// All flags in the order in which they are printed.
absl::Span<const ResponseFlagName> ResponseFlagNames();

/// A set of flags.
class ResponseFlags {
 public:
  void Add(ResponseFlag flag) { bits_ |= Bit(flag); }
  bool Has(ResponseFlag flag) const { return (bits_ & Bit(flag)) != 0; }
  bool empty() const { return bits_ == 0; }

 private:
  static uint64_t Bit(ResponseFlag flag) { return uint64_t{1} << static_cast<unsigned>(flag); }
  uint64_t bits_ = 0;
};

}  // namespace sluice
