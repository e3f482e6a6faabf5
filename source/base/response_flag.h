// Response flags: why a request ended as it did, under Envoy's short names (%RESPONSE_FLAGS%).
// Plain values, any thread.
#pragma once

#include <cstddef>
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

/// All flags. Any thread.
absl::Span<const ResponseFlagName> ResponseFlagNames();
const ResponseFlagName& NameOf(ResponseFlag flag);

/// A set of flags, which remembers in which order they came: so they are printed, as Envoy does.
class ResponseFlags {
 public:
  void Add(ResponseFlag flag) {
    if (Has(flag)) return;
    bits_ |= Bit(flag);
    order_[count_++] = static_cast<uint8_t>(flag);
  }
  bool Has(ResponseFlag flag) const { return (bits_ & Bit(flag)) != 0; }
  bool empty() const { return bits_ == 0; }
  size_t size() const { return count_; }
  /// The flag that came as number `i`, which is less than size().
  ResponseFlag operator[](size_t i) const { return static_cast<ResponseFlag>(order_[i]); }

 private:
  static uint64_t Bit(ResponseFlag flag) { return uint64_t{1} << static_cast<unsigned>(flag); }
  uint64_t bits_ = 0;
  uint8_t count_ = 0;
  uint8_t order_[static_cast<size_t>(ResponseFlag::kCount)];  // the first count_ of it
};

}  // namespace sluice
