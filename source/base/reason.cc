// The table of reasons and the payload that carries one. Constant data and values.
#include "source/base/reason.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_replace.h"
#include "source/base/strings.h"

namespace sluice {
namespace {

using F = ResponseFlag;
constexpr std::string_view kPayload = "sluice/reason";

#define SLUICE_RESET "upstream connect error or disconnect/reset before headers. reset reason: "
constexpr std::nullopt_t kNoFlag = std::nullopt;

constexpr ReasonMeaning kMeanings[] = {
    {Reason::kUnknown, 500, kNoFlag, "internal error", "internal_error", ""},
    {Reason::kCancelled, 0, F::kDownstreamConnectionTermination, "",
     "downstream_local_disconnect(drained)", ""},
    {Reason::kDownstreamClosed, 0, F::kDownstreamConnectionTermination, "",
     "downstream_remote_disconnect", ""},
    {Reason::kDownstreamProtocol, 400, F::kDownstreamProtocolError, "Bad Request",
     "http1.codec_error", ""},
    {Reason::kRequestTimeout, 408, kNoFlag, "request timeout", "request_overall_timeout", ""},
    {Reason::kStreamIdleTimeout, 504, F::kStreamIdleTimeout, "stream timeout",
     "stream_idle_timeout", ""},
    {Reason::kMaxStreamDuration, 504, kNoFlag, "downstream duration timeout",
     "max_duration_timeout", ""},
    {Reason::kRequestTooLarge, 413, kNoFlag, "Payload Too Large", "request_payload_too_large", ""},
    {Reason::kConnectRefused, 503, F::kUpstreamConnectionFailure,
     SLUICE_RESET "remote connection failure",
     "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_{}}",
     "remote_connection_failure", true},
    {Reason::kBindFailed, 503, F::kUpstreamConnectionFailure,
     SLUICE_RESET "local connection failure",
     "upstream_reset_before_response_started{local_connection_failure|{}}",
     "local_connection_failure", true},
    {Reason::kConnectTimeout, 503, F::kUpstreamConnectionFailure, SLUICE_RESET "connection timeout",
     "upstream_reset_before_response_started{connection_timeout}", "connection_timeout", true},
    {Reason::kConnectionTerminated, 503, F::kUpstreamConnectionTermination,
     SLUICE_RESET "connection termination",
     "upstream_reset_before_response_started{connection_termination}", "connection_termination",
     true},
    {Reason::kUpstreamProtocol, 502, F::kUpstreamProtocolError, SLUICE_RESET "protocol error",
     "upstream_reset_before_response_started{protocol_error}", "protocol_error", true},
    {Reason::kUpstreamTimeout, 504, F::kUpstreamRequestTimeout, "upstream request timeout",
     "response_timeout", "", true},
    {Reason::kPerTryTimeout, 504, F::kUpstreamRequestTimeout, "upstream request timeout",
     "upstream_per_try_timeout", "", true},
    {Reason::kPerTryIdleTimeout, 504, F::kUpstreamRequestTimeout, "upstream request timeout",
     "upstream_per_try_idle_timeout", "", true},
    {Reason::kUpstreamMaxStreamDuration, 504, F::kUpstreamMaxStreamDurationReached,
     "upstream max stream duration reached", "upstream_max_stream_duration_reached", ""},
    {Reason::kOverflow, 503, F::kUpstreamOverflow, SLUICE_RESET "overflow",
     "upstream_reset_before_response_started{overflow}", "overflow", true},
    {Reason::kNoHealthyUpstream, 503, F::kNoHealthyUpstream, "no healthy upstream",
     "no_healthy_upstream", "", true},
    {Reason::kDnsFailure, 503, F::kDnsResolutionFailed, "DNS resolution failure",
     "dns_resolution_failure{{}}", ""},
    {Reason::kDnsCacheOverflow, 503, kNoFlag, "DNS cache overflow", "dns_cache_overflow", ""},
    {Reason::kDnsPendingOverflow, 503, kNoFlag, "Dynamic forward proxy pending request overflow",
     "dynamic_forward_proxy_pending_request_overflow", ""},
    {Reason::kEmptyHost, 400, kNoFlag, "Empty host header", "empty_host_header", ""},
    {Reason::kEgressDenied, 403, F::kEgressDenied, "egress denied", "egress_denied{{}}", ""},
    {Reason::kInternal, 500, kNoFlag, "internal error", "internal_error{{}}", "", true},
};
static_assert(std::size(kMeanings) == static_cast<size_t>(Reason::kCount));
#undef SLUICE_RESET

absl::StatusCode CodeOf(Reason reason) {
  return reason == Reason::kCancelled ? absl::StatusCode::kCancelled
                                      : absl::StatusCode::kUnavailable;
}

}  // namespace

const ReasonMeaning& MeaningOf(Reason reason) {
  return kMeanings[static_cast<size_t>(reason)];
}

absl::Status MakeError(Reason reason, std::string_view details) {
  absl::Status status(CodeOf(reason), Absl(details.empty() ? "-" : details));
  const char byte = static_cast<char>(reason);
  status.SetPayload(Absl(kPayload), absl::Cord(absl::string_view(&byte, 1)));
  return status;
}

Reason ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(Absl(kPayload));
  if (!payload.has_value()) return Reason::kUnknown;
  return static_cast<Reason>(*payload->char_begin());
}

std::string DetailsOf(const absl::Status& status) {
  const std::string text = absl::StrReplaceAll(status.message(), {{" ", "_"}});
  return absl::StrReplaceAll(Absl(MeaningOf(ReasonOf(status)).details), {{"{}", text}});
}

}  // namespace sluice
