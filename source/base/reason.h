// Reasons: the closed list of ways in which a request can fail, and the one table that says what
// each means to a client, a log and a dashboard. An absl::Status carries its reason as a payload,
// so that a failure keeps its meaning from where it happened to where it is answered. Values, any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "source/base/response_flag.h"

namespace sluice {

enum class Reason : uint8_t {
  kUnknown,
  // The downstream side.
  kCancelled,           // The exchange was cancelled, at the end by a drain: nobody waits any more.
  kDownstreamClosed,    // The client closed or reset its connection.
  kDownstreamProtocol,  // The client broke the protocol while sending its body.
  kRequestTimeout,      // request_timeout
  kStreamIdleTimeout,   // stream_idle_timeout
  kMaxStreamDuration,   // max_stream_duration
  kRequestTooLarge,     // a body over a configured limit
  // The upstream side.
  kConnectRefused,        // connect() failed; details carry the error
  kBindFailed,            // no connection from our own address; details carry the error
  kConnectTimeout,        // connect_timeout
  kConnectionTerminated,  // closed before or while answering
  kUpstreamProtocol,      // not HTTP, or framed wrongly
  kUpstreamTimeout,       // route timeout
  kPerTryTimeout,
  kPerTryIdleTimeout,
  kUpstreamMaxStreamDuration,  // of the cluster
  kOverflow,                   // a circuit breaker is open
  kNoHealthyUpstream,
  // FindsNoHost() is true from here to kEgressDenied.
  kDnsFailure,  // details carry the resolver's words
  kDnsCacheOverflow,
  kDnsPendingOverflow,
  kEmptyHost,
  kEgressDenied,  // details carry the rule
  kInternal,
  kCount,
};

/// What a reason means outside. `body` and `details` are Envoy's words, on which scripts depend.
struct ReasonMeaning {
  Reason reason;
  int status;  // HTTP status of the local reply; 0: no reply is possible
  std::optional<ResponseFlag> flag;
  std::string_view body;  // of the local reply
  std::string_view
      details;  // %RESPONSE_CODE_DETAILS%; "{}" stands for the status's own details, in braces
  std::string_view reset;  // name inside upstream_reset_before_response_started{...}, or empty
  /// True when its local reply counts as an answer of the cluster, as Envoy counts it: not what the
  /// client did wrong, nor a host that was not found or is not allowed, nor the end of a stream
  /// that lived too long.
  bool is_answer = false;
};

const ReasonMeaning& MeaningOf(Reason reason);

/// True when a forward proxy found nobody to ask: no attempt was made. In Envoy its filter
/// answers.
constexpr bool FindsNoHost(Reason reason) {
  return reason >= Reason::kDnsFailure && reason <= Reason::kEgressDenied;
}

/// A status that carries `reason`; `details` is the specific text ("Connection refused").
absl::Status MakeError(Reason reason, std::string_view details = {});

/// The reason a status carries; kUnknown when it carries none.
Reason ReasonOf(const absl::Status& status);

/// %RESPONSE_CODE_DETAILS% of a failure: the meaning's details with the status's text filled in,
/// blanks replaced by '_'.
std::string DetailsOf(const absl::Status& status);

}  // namespace sluice
