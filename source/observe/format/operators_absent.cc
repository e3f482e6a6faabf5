// Operators of what no exchange has yet: TLS, tracing, flags of filters that are not here. Envoy
// prints nothing for them on such an exchange, and formats that ask for them are common. Stateless,
// any thread.
#include "source/observe/format/operators.h"

namespace sluice::format_internal {
namespace {

Rendered Never(const Operator&, const LogContext&, std::string*) {
  return Rendered::kMissing;
}

Rendered EmptyText(const Operator&, const LogContext&, std::string*) {
  return Rendered::kString;
}

Rendered Zero(const Operator&, const LogContext&, std::string* out) {
  return AppendNumber(0, out);
}

}  // namespace

absl::Span<const OperatorType> AbsentOperators() {
  static constexpr OperatorType kOperators[] = {
      // Of QUIC.
      {"BYTES_RETRANSMITTED", nullptr, Zero, false},
      {"PACKETS_RETRANSMITTED", nullptr, Zero, false},
      {"ROUNDTRIP_DURATION", nullptr, Never, false},
      // Of filters that set some.
      {"CUSTOM_FLAGS", nullptr, EmptyText, true},
      // Of tracing.
      {"SPAN_ID", nullptr, Never, true},
      {"TRACE_ID", nullptr, Never, true},
      // Of TLS.
      {"DOWNSTREAM_HANDSHAKE_DURATION", nullptr, Never, false},
      {"DOWNSTREAM_LOCAL_DNS_SAN", nullptr, Never, true},
      {"DOWNSTREAM_LOCAL_EMAIL_SAN", nullptr, Never, true},
      {"DOWNSTREAM_LOCAL_IP_SAN", nullptr, Never, true},
      {"DOWNSTREAM_LOCAL_OTHERNAME_SAN", nullptr, Never, true},
      {"DOWNSTREAM_LOCAL_SUBJECT", nullptr, Never, true},
      {"DOWNSTREAM_LOCAL_URI_SAN", nullptr, Never, true},
      {"DOWNSTREAM_PEER_CERT", nullptr, Never, true},
      {"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", nullptr, Never, true},
      {"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", nullptr, Never, true},
      {"DOWNSTREAM_PEER_CHAIN_SERIALS", nullptr, Never, true},
      {"DOWNSTREAM_PEER_DNS_SAN", nullptr, Never, true},
      {"DOWNSTREAM_PEER_EMAIL_SAN", nullptr, Never, true},
      {"DOWNSTREAM_PEER_FINGERPRINT_1", nullptr, Never, true},
      {"DOWNSTREAM_PEER_FINGERPRINT_256", nullptr, Never, true},
      {"DOWNSTREAM_PEER_IP_SAN", nullptr, Never, true},
      {"DOWNSTREAM_PEER_ISSUER", nullptr, Never, true},
      {"DOWNSTREAM_PEER_OTHERNAME_SAN", nullptr, Never, true},
      {"DOWNSTREAM_PEER_SERIAL", nullptr, Never, true},
      {"DOWNSTREAM_PEER_SUBJECT", nullptr, Never, true},
      {"DOWNSTREAM_PEER_URI_SAN", nullptr, Never, true},
      {"DOWNSTREAM_TLS_CIPHER", nullptr, Never, true},
      {"DOWNSTREAM_TLS_GROUP", nullptr, Never, true},
      {"DOWNSTREAM_TLS_SESSION_ID", nullptr, Never, true},
      {"DOWNSTREAM_TLS_VERSION", nullptr, Never, true},
      {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", nullptr, Never, true},
      {"TLS_JA3_FINGERPRINT", nullptr, Never, true},
      {"TLS_JA4_FINGERPRINT", nullptr, Never, true},
      {"UPSTREAM_LOCAL_DNS_SAN", nullptr, Never, true},
      {"UPSTREAM_LOCAL_IP_SAN", nullptr, Never, true},
      {"UPSTREAM_LOCAL_SUBJECT", nullptr, Never, true},
      {"UPSTREAM_LOCAL_URI_SAN", nullptr, Never, true},
      {"UPSTREAM_PEER_CERT", nullptr, Never, true},
      {"UPSTREAM_PEER_DNS_SAN", nullptr, Never, true},
      {"UPSTREAM_PEER_IP_SAN", nullptr, Never, true},
      {"UPSTREAM_PEER_ISSUER", nullptr, Never, true},
      {"UPSTREAM_PEER_SUBJECT", nullptr, Never, true},
      {"UPSTREAM_PEER_URI_SAN", nullptr, Never, true},
      {"UPSTREAM_SERVER_NAME", nullptr, Never, true},
      {"UPSTREAM_TLS_CIPHER", nullptr, Never, true},
      {"UPSTREAM_TLS_GROUP", nullptr, Never, true},
      {"UPSTREAM_TLS_SESSION_ID", nullptr, Never, true},
      {"UPSTREAM_TLS_VERSION", nullptr, Never, true},
  };
  return kOperators;
}

}  // namespace sluice::format_internal
