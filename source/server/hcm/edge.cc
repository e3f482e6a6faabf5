// Trust, decided once per request. Worker thread only.
#include "source/server/hcm/edge.h"

#include <algorithm>

#include "source/base/strings.h"
#include "source/http/request_id.h"

namespace sluice {
namespace {

// What only an internal client may ask for.
constexpr std::string_view kInternalHeaders[] = {
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
};

// What nobody outside may say; behind the edge another proxy may.
constexpr std::string_view kEdgeHeaders[] = {
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-is-timeout-retry",
    "x-envoy-original-host",
    "x-envoy-original-path",
};

bool IsIn(absl::Span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Takes from a request that is not internal what it may not say.
void CleanHeaders(Headers& headers, bool edge) {
  headers.RemoveIf([edge](const Header& header) {
    return header.name.starts_with("x-envoy-") &&
           (IsIn(kInternalHeaders, header.name) || (edge && IsIn(kEdgeHeaders, header.name)));
  });
}

std::string_view LastElement(std::string_view list, size_t n) {
  for (; n > 0; --n) {
    const size_t comma = list.rfind(',');
    if (comma == std::string_view::npos) return {};
    list = list.substr(0, comma);
  }
  return Trim(list.substr(list.rfind(',') + 1));
}

// How the client came, which a proxy in front knows better than the connection: redirects go there.
void ApplyForwardedProto(bool is_tls, RequestHead& head) {
  const auto proto = head.headers.GetJoined(HeaderId::kXForwardedProto);
  if (!proto.has_value()) {
    head.headers.AddSafe(HeaderId::kXForwardedProto, is_tls ? "https" : "http");
  } else if (EqualsIgnoreCase(*proto, "https")) {
    head.scheme = "https";
  } else if (EqualsIgnoreCase(*proto, "http")) {
    head.scheme = "http";
  }
}

bool IsInternal(const EdgeSettings& settings, const Address& address) {
  if (!address.is_ip()) return settings.unix_sockets_are_internal;
  return settings.internal_ranges.Matches(address);
}

}  // namespace

Address ForwardedAddress(std::string_view forwarded_for, size_t n) {
  std::string_view text = LastElement(forwarded_for, n);
  if (text.empty()) return {};
  if (text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  const auto address = Address::Ip(text, 0);
  return address.ok() ? *address : Address();
}

Address ApplyEdge(const EdgeSettings& settings, const Address& peer, const Address& local,
                  bool is_tls, Rng& rng, RequestHead& head) {
  Headers& headers = head.headers;
  Address client = peer;
  bool may_be_internal = true;
  const bool edge = settings.use_remote_address;
  if (edge) {
    if (headers.Has(HeaderId::kXForwardedFor)) {
      // Whoever speaks for another is not internal here, however trusted its own address is.
      may_be_internal = false;
      if (settings.xff_num_trusted_hops > 0) {
        const Address hop = ForwardedAddress(*headers.GetJoined(HeaderId::kXForwardedFor),
                                             settings.xff_num_trusted_hops - 1);
        if (hop.is_set()) client = hop;
      }
    }
    if (!settings.skip_xff_append && peer.is_ip())
      headers.Append(HeaderId::kXForwardedFor, peer.IpString());
    if (settings.xff_num_trusted_hops == 0) headers.Remove(HeaderId::kXForwardedProto);
  } else if (!settings.detections.empty()) {
    const DetectedClient found = DetectClient(settings.detections, peer, head);
    if (found.address.is_set()) client = found.address;
    may_be_internal = found.may_be_internal;
    if (found.appends && peer.is_ip()) headers.Append(HeaderId::kXForwardedFor, peer.IpString());
  } else if (const auto forwarded_for = headers.GetJoined(HeaderId::kXForwardedFor)) {
    may_be_internal = forwarded_for->find(',') == std::string_view::npos;
    if (const Address hop = ForwardedAddress(*forwarded_for, settings.xff_num_trusted_hops);
        hop.is_set())
      client = hop;
  }
  const bool internal = may_be_internal && IsInternal(settings, client);
  if (!internal) CleanHeaders(headers, edge);
  if (edge && !internal && client.is_ip())
    headers.Set(HeaderId::kXEnvoyExternalAddress, client.IpString());
  headers.Remove(HeaderId::kXEnvoyInternal);  // Only our own word on it counts.
  // Nobody has shown a certificate here: forward_client_cert_details is SANITIZE.
  headers.Remove(HeaderId::kXForwardedClientCert);
  if (internal) headers.AddSafe(HeaderId::kXEnvoyInternal, "true");
  ApplyForwardedProto(is_tls, head);
  if (settings.append_x_forwarded_port && !headers.Has(HeaderId::kXForwardedPort)) {
    headers.AddCopy(HeaderId::kXForwardedPort, Cat(local.port()));
  }
  const bool keep_id = headers.Has(HeaderId::kXRequestId) &&
                       !(edge && !internal && !settings.preserve_external_request_id);
  if (settings.generate_request_id && !keep_id)
    headers.SetSafe(HeaderId::kXRequestId, MakeRequestId(rng, head.arena));
  if (!settings.via.empty()) headers.Append(HeaderId::kVia, settings.via);
  return client;
}

}  // namespace sluice
