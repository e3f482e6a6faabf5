// Trust, decided once per request. Worker thread only.
#include "source/server/edge.h"

#include "source/base/strings.h"

namespace sluice {
namespace {

// What only a trusted hop may ask for; taken from everybody else at the edge.
constexpr std::string_view kInternalHeaders[] = {"x-envoy-decorator-operation",
                                                 "x-envoy-downstream-service-cluster",
                                                 "x-envoy-downstream-service-node",
                                                 "x-envoy-expected-rq-timeout-ms",
                                                 "x-envoy-force-trace",
                                                 "x-envoy-hedge-on-per-try-timeout",
                                                 "x-envoy-ip-tags",
                                                 "x-envoy-max-retries",
                                                 "x-envoy-retriable-header-names",
                                                 "x-envoy-retriable-status-codes",
                                                 "x-envoy-retry-grpc-on",
                                                 "x-envoy-retry-on",
                                                 "x-envoy-upstream-alt-stat-name",
                                                 "x-envoy-upstream-rq-per-try-timeout-ms",
                                                 "x-envoy-upstream-rq-timeout-alt-response",
                                                 "x-envoy-upstream-rq-timeout-ms",
                                                 "x-envoy-original-path",
                                                 "x-envoy-internal",
                                                 "x-envoy-external-address",
                                                 "x-envoy-attempt-count",
                                                 "x-envoy-is-timeout-retry"};

bool IsInternalHeader(const Header& header) {
  if (!header.name.starts_with("x-envoy-")) return false;
  for (std::string_view name : kInternalHeaders) {
    if (header.name == name) return true;
  }
  return false;
}

std::string_view LastElement(std::string_view list, size_t n) {
  for (; n > 0; --n) {
    const size_t comma = list.rfind(',');
    if (comma == std::string_view::npos) return {};
    list = list.substr(0, comma);
  }
  return Trim(list.substr(list.rfind(',') + 1));
}

bool IsInternal(const EdgeSettings& settings, const Address& address) {
  if (!address.is_ip()) return settings.unix_sockets_are_internal;
  return settings.has_internal_ranges && settings.internal_ranges.Matches(address);
}

}  // namespace

Address ForwardedAddress(std::string_view forwarded_for, size_t n) {
  std::string_view text = LastElement(forwarded_for, n);
  if (text.empty()) return {};
  if (text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  const auto address = Address::Ip(text, 0);
  return address.ok() ? *address : Address();
}

std::string MakeRequestId(Rng& rng) {
  const uint64_t high = (rng() & 0xffffffffffff0fffull) | 0x4000;
  const uint64_t low = (rng() & 0x3fffffffffffffffull) | 0x8000000000000000ull;
  // By hand: printf would cost more than the rest of the edge.
  std::string text(36, '-');
  size_t at = 0;
  for (int digit = 0; digit < 32; ++digit) {
    if (digit == 8 || digit == 12 || digit == 16 || digit == 20) ++at;
    const uint64_t word = digit < 16 ? high : low;
    text[at++] = "0123456789abcdef"[word >> (60 - 4 * (digit % 16)) & 0xf];
  }
  return text;
}

Address ApplyEdge(const EdgeSettings& settings, const Address& peer, const Address& local,
                  bool is_tls, Rng& rng, RequestHead& head) {
  Headers& headers = head.headers;
  Address client = peer;
  const auto forwarded_for = headers.GetJoined("x-forwarded-for");
  const bool edge = settings.use_remote_address;
  if (edge) {
    if (settings.xff_num_trusted_hops > 0 && forwarded_for.has_value()) {
      if (const Address hop = ForwardedAddress(*forwarded_for, settings.xff_num_trusted_hops - 1);
          hop.is_set())
        client = hop;
    }
    if (!settings.skip_xff_append && peer.is_ip())
      headers.Append(HeaderId::kXForwardedFor, peer.IpString());
    if (settings.xff_num_trusted_hops == 0) headers.Remove(HeaderId::kXForwardedProto);
  } else if (forwarded_for.has_value()) {
    if (const Address hop = ForwardedAddress(*forwarded_for, settings.xff_num_trusted_hops);
        hop.is_set())
      client = hop;
  }
  const bool internal =
      IsInternal(settings, client) &&
      (!forwarded_for.has_value() || forwarded_for->find(',') == std::string_view::npos);
  if (edge && !internal) {
    headers.RemoveIf(IsInternalHeader);
    if (client.is_ip()) headers.Set(HeaderId::kXEnvoyExternalAddress, client.IpString());
  }
  headers.Remove(HeaderId::kXEnvoyInternal);  // Only our own word on it counts.
  if (internal) headers.Add(HeaderId::kXEnvoyInternal, "true");
  if (!headers.Has(HeaderId::kXForwardedProto))
    headers.Add(HeaderId::kXForwardedProto, is_tls ? "https" : "http");
  if (settings.append_x_forwarded_port && !headers.Has(HeaderId::kXForwardedPort)) {
    headers.AddCopy(HeaderId::kXForwardedPort, Cat(local.port()));
  }
  const bool keep_id = headers.Has(HeaderId::kXRequestId) &&
                       !(edge && !internal && !settings.preserve_external_request_id);
  if (settings.generate_request_id && !keep_id)
    headers.Set(HeaderId::kXRequestId, MakeRequestId(rng));
  if (!settings.via.empty()) headers.Append(HeaderId::kVia, settings.via);
  return client;
}

}  // namespace sluice
