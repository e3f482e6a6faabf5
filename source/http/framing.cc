// What the fields of a head mean for its body, its connection and its way on; FRAMING.md has the
// reasons. Worker thread only.
#include "source/http/framing.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/container/inlined_vector.h"
#include "source/base/strings.h"
#include "source/http/bytes.h"
#include "source/http/head_scan.h"

namespace sluice {
namespace {

constexpr HeadError kMalformed{400, "Bad Request", "http1.codec_error"};
constexpr HeadError kBadTarget{400, "Bad Request", "http1.invalid_url"};
constexpr HeadError kFragment{400, "", "path_normalization_failed", HeadFault::kPath};
constexpr HeadError kBadScheme{400, "Bad Request", "http1.invalid_scheme"};
constexpr HeadError kBadHost{400, "Bad Request", "http.invalid_authority"};
constexpr HeadError kMissingHost{400, "", "missing_host_header", HeadFault::kNoHost};
constexpr HeadError kAbsoluteRefused{404, "", "absolute_path_rejected"};
constexpr HeadError kBodyDisallowed{400, "Bad Request", "http1.body_disallowed"};
constexpr HeadError kBadExpectation{417, "Expectation Failed", "http1.unsupported_expectation"};
constexpr HeadError kBadResponse{502, "", "http1.codec_error"};
constexpr HeadError kUnaskedUpgrade{502, "", "http1.unexpected_upgrade"};

// More options than this are an attack on whoever compares them with the fields.
constexpr size_t kMaxOptions = 64;
constexpr size_t kMaxHostSize = 255;

// Calls `visit` for each element of a comma-separated list that is not empty.
template <class Visit>
void ForEachElement(std::string_view list, Visit&& visit) {
  while (true) {
    const size_t comma = list.find(',');
    const std::string_view element = Trim(list.substr(0, comma));
    if (!element.empty()) visit(element);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Fields that are not the peer's to take away by naming them in Connection: the message's framing
// and routing, and what hops that we trust say about the way so far.
bool IsProtected(const Header& header) {
  switch (header.id) {
    case HeaderId::kContentLength:
    case HeaderId::kHost:
    case HeaderId::kProxyAuthenticate:
    case HeaderId::kProxyAuthorization:
    case HeaderId::kVia:
    case HeaderId::kXRequestId:
      return true;
    default:
      return header.name == "forwarded" || StartsWith(header.name, "x-forwarded-") ||
             StartsWith(header.name, "x-envoy-");
  }
}

// What a head says about its connection.
struct HopFields {
  bool close = false;
  bool keep_alive = false;
  bool nominates_upgrade = false;
  bool te_trailers = false;
  bool malformed = false;
  int upgrades = 0;
  int expects = 0;
  std::string_view upgrade, expect;
  absl::InlinedVector<std::string_view, 4> nominated;

  void Connection(std::string_view value) {
    ForEachElement(value, [&](std::string_view option) {
      if (EqualsIgnoreCase(option, "close")) {
        close = true;
      } else if (EqualsIgnoreCase(option, "keep-alive")) {
        keep_alive = true;
      } else if (EqualsIgnoreCase(option, "upgrade")) {
        nominates_upgrade = true;
      } else if (!EqualsIgnoreCase(option, "te")) {
        malformed = malformed || !IsToken(option) || nominated.size() == kMaxOptions;
        if (!malformed) nominated.push_back(option);
      }
    });
  }

  explicit HopFields(const Headers& headers) {
    if (!headers.MayHave(kHopByHop | Bit(HeaderId::kExpect))) return;
    for (const Header& header : headers) {
      switch (header.id) {
        case HeaderId::kConnection:
          Connection(header.value);
          break;
        case HeaderId::kProxyConnection:
          ForEachElement(header.value, [&](std::string_view option) {
            malformed = malformed || !IsToken(option);
          });
          break;
        case HeaderId::kUpgrade:
          ++upgrades;
          upgrade = header.value;
          break;
        case HeaderId::kExpect:
          ++expects;
          expect = header.value;
          break;
        case HeaderId::kTe:
          ForEachElement(header.value, [&](std::string_view coding) {
            te_trailers = te_trailers || EqualsIgnoreCase(coding, "trailers");
          });
          break;
        default:
          break;
      }
    }
  }

  bool Nominates(std::string_view name) const {
    return std::any_of(nominated.begin(), nominated.end(),
                       [&](std::string_view option) { return EqualsIgnoreCase(option, name); });
  }
};

// Removes what ends at this hop.
void RemoveHopFields(const HopFields& hop, bool keep_upgrade, bool keep_length, Headers* headers) {
  if (!keep_length) headers->Remove(HeaderId::kContentLength);
  if (!headers->MayHave(kHopByHop)) return;
  headers->RemoveIf([&](const Header& header) {
    if (header.id == HeaderId::kUpgrade && keep_upgrade) return false;
    if (Contains(kHopByHop, header.id)) return true;
    return !hop.nominated.empty() && hop.Nominates(header.name) && !IsProtected(header);
  });
}

// One protocol name, "websocket" or "name/version", in lower case; empty for lists and anything
// else.
std::string_view OneProtocol(std::string_view value, Arena& arena) {
  const size_t slash = value.find('/');
  if (!IsToken(value.substr(0, slash))) return {};
  if (slash != std::string_view::npos && !IsToken(value.substr(slash + 1))) return {};
  char* lower = arena.Allocate(value.size());
  std::transform(value.begin(), value.end(), lower, [](char c) { return ToLower(c); });
  return {lower, value.size()};
}

HeadError AbsoluteTarget(std::string_view target, const HeadLimits& limits, RequestHead* head) {
  const size_t colon = target.find("://");
  if (colon == std::string_view::npos || colon == 0) return kBadTarget;
  const std::string_view scheme = target.substr(0, colon);
  for (char c : scheme) {
    const char lower = ToLower(c);
    if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '-' &&
        c != '.')
      return kBadTarget;
  }
  if (EqualsIgnoreCase(scheme, "http")) {
    head->scheme = "http";
  } else if (EqualsIgnoreCase(scheme, "https")) {
    head->scheme = "https";
  } else {
    return kBadScheme;
  }
  if (!limits.allow_absolute_url) return kAbsoluteRefused;
  const std::string_view rest = target.substr(colon + 3);
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  head->authority = rest.substr(0, end);
  if (!IsAuthority(head->authority, false)) return kBadTarget;
  head->path = rest.substr(end);
  if (head->path.empty()) {
    head->path = "/";
  } else if (head->path[0] == '?') {
    char* path = head->arena.Allocate(head->path.size() + 1);
    path[0] = '/';
    std::memcpy(path + 1, head->path.data(), head->path.size());
    head->path = {path, head->path.size() + 1};
  }
  return {};
}

HeadError Target(const HeadScan& scan, const HeadLimits& limits, RequestHead* head) {
  const std::string_view target = scan.target(), host = scan.host();
  head->scheme = limits.scheme;
  bool needs_host = false;
  if (head->is_connect()) {
    if (!IsAuthority(target, true)) return kBadTarget;
    head->authority = target;
    head->path = {};
  } else if (target[0] == '/' || (target == "*" && head->method == "OPTIONS")) {
    needs_host = true;
    head->authority = host;
    head->path = target;
  } else if (const HeadError error = AbsoluteTarget(target, limits, head); !error.ok()) {
    return error;
  }
  if (scan.hosts() > 1 || (!host.empty() && !IsAuthority(host, false))) return kBadHost;
  if (scan.hosts() == 0 && needs_host && head->version != HttpVersion::kHttp10) return kMissingHost;
  return {};
}

HttpVersion VersionOf(const HeadScan& scan) {
  return scan.is_http_10() ? HttpVersion::kHttp10 : HttpVersion::kHttp11;
}

bool IsPersistent(const HopFields& hop, HttpVersion version) {
  return !hop.close && (version == HttpVersion::kHttp11 || hop.keep_alive);
}

// What may not stand in a DNS name or an IPv4 address.
struct NoHostBytes {
  static bool Is(char c) {
    const char lower = ToLower(c);
    return !(lower >= 'a' && lower <= 'z') && !IsDigit(c) && c != '-' && c != '.' && c != '_';
  }
#if defined(__SSE2__)
  static unsigned Mask(const char* at) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i letter = Within(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
    const __m128i other = _mm_or_si128(Within(bytes, '-', '.'), Within(bytes, '0', '9'));
    const __m128i underscore = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_'));
    return MaskOf(_mm_or_si128(_mm_or_si128(letter, other), underscore)) ^ 0xffff;
  }
#endif
};

bool IsIpv6Literal(std::string_view host) {
  if (host.size() < 4 || host.size() > INET6_ADDRSTRLEN || host.back() != ']') return false;
  char literal[INET6_ADDRSTRLEN + 1];
  const std::string_view inside = host.substr(1, host.size() - 2);
  std::memcpy(literal, inside.data(), inside.size());
  literal[inside.size()] = '\0';
  in6_addr address;
  return inet_pton(AF_INET6, literal, &address) == 1;
}

bool IsPort(std::string_view port) {
  const auto number =
      port.size() <= 5 && port[0] != '0' ? ParseDecimal<uint32_t>(port) : std::nullopt;
  return number.has_value() && *number <= 65535;
}

// Credentials in a target are nothing for a log.
std::string_view WithoutUser(std::string_view authority) {
  return authority.substr(authority.rfind('@') + 1);
}

}  // namespace

bool IsAuthority(std::string_view text, bool port_required) {
  size_t end = 0;  // of the host
  if (!text.empty() && text[0] == '[') {
    end = text.find(']');
    if (end == std::string_view::npos || !IsIpv6Literal(text.substr(0, ++end))) return false;
  } else {
    const char* const host = text.data();
    end = static_cast<size_t>(FindFirst<NoHostBytes>(host, host + text.size()) - host);
    if (end == 0 || end > kMaxHostSize) return false;
  }
  if (end == text.size()) return !port_required;
  return text[end] == ':' && end + 1 < text.size() && IsPort(text.substr(end + 1));
}

bool IsToken(std::string_view text) {
  for (char c : text) {
    if (!IsTokenByte(c)) return false;
  }
  return !text.empty();
}

bool IsFieldValue(std::string_view value) {
  return HasNone<ControlBytes>(value);
}

bool ForbiddenInTrailers(HeaderId id, std::string_view name) {
  constexpr uint64_t kForbidden =
      kHopByHop | Bits(HeaderId::kAuthorization, HeaderId::kContentLength, HeaderId::kContentType,
                       HeaderId::kDate, HeaderId::kExpect, HeaderId::kHost, HeaderId::kLocation,
                       HeaderId::kProxyAuthenticate, HeaderId::kProxyAuthorization, HeaderId::kVia,
                       HeaderId::kXRequestId);
  if (Contains(kForbidden, id) || StartsWith(name, "x-forwarded-") ||
      StartsWith(name, "x-envoy-") || StartsWith(name, "if-"))
    return true;
  constexpr std::string_view kNames[] = {"age",           "cache-control", "content-encoding",
                                         "content-range", "cookie",        "expires",
                                         "forwarded",     "max-forwards",  "pragma",
                                         "range",         "retry-after",   "set-cookie",
                                         "vary",          "warning",       "www-authenticate"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

HeadError FrameRequest(const HeadScan& scan, const HeadLimits& limits, RequestHead* head,
                       Framing* framing) {
  const HopFields hop(head->headers);
  *framing = Framing();
  if (hop.malformed) return kMalformed;
  if (scan.has_fragment()) return kFragment;
  head->method = scan.method();
  head->version = VersionOf(scan);
  if (const HeadError error = Target(scan, limits, head); !error.ok()) return error;
  const bool is_connect = head->is_connect();
  if (is_connect) {
    if (scan.chunked() || (scan.has_length() && scan.length() > 0)) return kBodyDisallowed;
    framing->kind = Framing::kTunnel;
  } else if (scan.chunked()) {
    framing->kind = Framing::kChunked;
  } else if (scan.has_length()) {
    framing->kind = Framing::kLength;
    framing->length = scan.length();
  }
  const bool has_body = framing->kind == Framing::kChunked || framing->length > 0;
  // What follows a CONNECT that failed may be meant for the tunnel: such a connection is never used
  // again.
  head->keep_alive = IsPersistent(hop, head->version);
  framing->keep_alive = head->keep_alive && !is_connect;

  const bool is_http_11 = head->version == HttpVersion::kHttp11;
  if (hop.expects > 0 && is_http_11) {
    if (hop.expects > 1 || !EqualsIgnoreCase(hop.expect, "100-continue")) return kBadExpectation;
    head->expects_continue = has_body;
  }
  if (hop.upgrades == 1 && hop.nominates_upgrade && is_http_11 && !has_body && !is_connect) {
    head->upgrade = OneProtocol(hop.upgrade, head->arena);
    if (head->upgrade == "h2c") head->upgrade = {};
  }
  RemoveHopFields(hop, false, !is_connect, &head->headers);
  head->headers.Remove(HeaderId::kExpect);
  if (hop.te_trailers) head->headers.AddSafe(HeaderId::kTe, "trailers");
  return {};
}

void DescribeRefused(const HeadScan& scan, RequestHead* head) {
  head->method = scan.method();
  head->version = VersionOf(scan);
  head->authority = WithoutUser(scan.host());
  head->path = {};
  const std::string_view target = scan.target();
  const size_t scheme = target.find("://");
  if (head->is_connect()) {
    head->authority = WithoutUser(target);
  } else if (target.starts_with('/')) {
    head->path = target;
  } else if (scheme == std::string_view::npos) {
    head->path = WithoutUser(target);
  } else {
    const size_t end = std::min(target.find_first_of("/?", scheme + 3), target.size());
    head->authority = WithoutUser(target.substr(scheme + 3, end - scheme - 3));
    head->path = target.substr(end);
  }
}

HeadError FrameResponse(const HeadScan& scan, const RequestTraits& request, ResponseHead* head,
                        Framing* framing) {
  const HopFields hop(head->headers);
  const int status = head->status = scan.status();
  head->version = VersionOf(scan);
  const bool has_body_fields = scan.chunked() || (scan.has_length() && scan.length() > 0);
  *framing = Framing();
  if (hop.malformed) return kBadResponse;
  framing->keep_alive = IsPersistent(hop, head->version);
  bool keep_length = true;
  if (status < 200) {
    if (has_body_fields) return kBadResponse;
    keep_length = false;
    if (status == 101) {
      if (request.upgrade.empty() || hop.upgrades != 1 || !hop.nominates_upgrade ||
          !EqualsIgnoreCase(hop.upgrade, request.upgrade)) {
        return kUnaskedUpgrade;
      }
      framing->kind = Framing::kTunnel;
    }
  } else if (request.is_connect && status < 300) {
    framing->kind = Framing::kTunnel;
    keep_length = false;
  } else if (request.is_head || status == 204 || status == 304) {
    if (status == 204) {
      // There should be no body, but such a server may well send one: nothing else can be read from
      // that connection.
      framing->keep_alive = framing->keep_alive && !has_body_fields;
      keep_length = false;
    }
  } else if (scan.chunked()) {
    framing->kind = Framing::kChunked;
  } else if (scan.has_length()) {
    framing->kind = Framing::kLength;
    framing->length = scan.length();
  } else {
    framing->kind = Framing::kUntilClose;
    framing->keep_alive = false;
  }
  RemoveHopFields(hop, status == 101, keep_length, &head->headers);
  return {};
}

}  // namespace sluice
