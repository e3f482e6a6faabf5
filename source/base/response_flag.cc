// The table of response flag names. Constant data.
#include "source/base/response_flag.h"

namespace sluice {
namespace {

using F = ResponseFlag;
constexpr ResponseFlagName kNames[] = {
    {F::kFailedLocalHealthCheck, "LH", "FailedLocalHealthCheck"},
    {F::kNoHealthyUpstream, "UH", "NoHealthyUpstream"},
    {F::kUpstreamRequestTimeout, "UT", "UpstreamRequestTimeout"},
    {F::kLocalReset, "LR", "LocalReset"},
    {F::kUpstreamRemoteReset, "UR", "UpstreamRemoteReset"},
    {F::kUpstreamConnectionFailure, "UF", "UpstreamConnectionFailure"},
    {F::kUpstreamConnectionTermination, "UC", "UpstreamConnectionTermination"},
    {F::kUpstreamOverflow, "UO", "UpstreamOverflow"},
    {F::kNoRouteFound, "NR", "NoRouteFound"},
    {F::kDelayInjected, "DI", "DelayInjected"},
    {F::kFaultInjected, "FI", "FaultInjected"},
    {F::kRateLimited, "RL", "RateLimited"},
    {F::kUnauthorizedExternalService, "UAEX", "UnauthorizedExternalService"},
    {F::kRateLimitServiceError, "RLSE", "RateLimitServiceError"},
    {F::kDownstreamConnectionTermination, "DC", "DownstreamConnectionTermination"},
    {F::kUpstreamRetryLimitExceeded, "URX", "UpstreamRetryLimitExceeded"},
    {F::kStreamIdleTimeout, "SI", "StreamIdleTimeout"},
    {F::kInvalidEnvoyRequestHeaders, "IH", "InvalidEnvoyRequestHeaders"},
    {F::kDownstreamProtocolError, "DPE", "DownstreamProtocolError"},
    {F::kUpstreamMaxStreamDurationReached, "UMSDR", "UpstreamMaxStreamDurationReached"},
    {F::kNoFilterConfigFound, "NFCF", "NoFilterConfigFound"},
    {F::kDurationTimeout, "DT", "DurationTimeout"},
    {F::kUpstreamProtocolError, "UPE", "UpstreamProtocolError"},
    {F::kNoClusterFound, "NC", "NoClusterFound"},
    {F::kOverloadManager, "OM", "OverloadManagerTerminated"},
    {F::kDnsResolutionFailed, "DF", "DnsResolutionFailed"},
    {F::kDropOverload, "DO", "DropOverload"},
    {F::kDownstreamRemoteReset, "DR", "DownstreamRemoteReset"},
    {F::kUnconditionalDropOverload, "UDO", "UnconditionalDropOverload"},
    {F::kEgressDenied, "ED", "EgressDenied"},
};
static_assert(std::size(kNames) == static_cast<size_t>(F::kCount));

constexpr bool StandByNumber() {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i].flag != static_cast<F>(i)) return false;
  }
  return true;
}
static_assert(StandByNumber());

}  // namespace

absl::Span<const ResponseFlagName> ResponseFlagNames() {
  return kNames;
}

const ResponseFlagName& NameOf(ResponseFlag flag) {
  return kNames[static_cast<size_t>(flag)];
}

}  // namespace sluice
