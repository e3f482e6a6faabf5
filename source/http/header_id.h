// Names that the proxy itself looks at, and those that most messages have, as small numbers: a
// comparison of one byte instead of a string, and a name that need not be checked letter by letter.
// Constant data, any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// X(enumerator, name in lower case)
#define SLUICE_HEADER_NAMES(X)                                    \
  X(kAccept, "accept")                                            \
  X(kAcceptEncoding, "accept-encoding")                           \
  X(kAcceptLanguage, "accept-language")                           \
  X(kAge, "age")                                                  \
  X(kAuthorization, "authorization")                              \
  X(kCacheControl, "cache-control")                               \
  X(kConnection, "connection")                                    \
  X(kContentEncoding, "content-encoding")                         \
  X(kContentLength, "content-length")                             \
  X(kContentType, "content-type")                                 \
  X(kCookie, "cookie")                                            \
  X(kDate, "date")                                                \
  X(kEtag, "etag")                                                \
  X(kExpect, "expect")                                            \
  X(kExpires, "expires")                                          \
  X(kHost, "host")                                                \
  X(kHttp2Settings, "http2-settings")                             \
  X(kIfModifiedSince, "if-modified-since")                        \
  X(kIfNoneMatch, "if-none-match")                                \
  X(kKeepAlive, "keep-alive")                                     \
  X(kLastModified, "last-modified")                               \
  X(kLocation, "location")                                        \
  X(kOrigin, "origin")                                            \
  X(kPragma, "pragma")                                            \
  X(kProxyAuthenticate, "proxy-authenticate")                     \
  X(kProxyAuthorization, "proxy-authorization")                   \
  X(kProxyConnection, "proxy-connection")                         \
  X(kRange, "range")                                              \
  X(kReferer, "referer")                                          \
  X(kServer, "server")                                            \
  X(kSetCookie, "set-cookie")                                     \
  X(kTe, "te")                                                    \
  X(kTrailer, "trailer")                                          \
  X(kTransferEncoding, "transfer-encoding")                       \
  X(kUpgrade, "upgrade")                                          \
  X(kUserAgent, "user-agent")                                     \
  X(kVary, "vary")                                                \
  X(kVia, "via")                                                  \
  X(kXEnvoyAttemptCount, "x-envoy-attempt-count")                 \
  X(kXEnvoyExpectedRqTimeoutMs, "x-envoy-expected-rq-timeout-ms") \
  X(kXEnvoyExternalAddress, "x-envoy-external-address")           \
  X(kXEnvoyInternal, "x-envoy-internal")                          \
  X(kXEnvoyOriginalPath, "x-envoy-original-path")                 \
  X(kXEnvoyOverloaded, "x-envoy-overloaded")                      \
  X(kXEnvoyUpstreamCanary, "x-envoy-upstream-canary")             \
  X(kXEnvoyUpstreamServiceTime, "x-envoy-upstream-service-time")  \
  X(kXForwardedClientCert, "x-forwarded-client-cert")             \
  X(kXForwardedFor, "x-forwarded-for")                            \
  X(kXForwardedHost, "x-forwarded-host")                          \
  X(kXForwardedPort, "x-forwarded-port")                          \
  X(kXForwardedProto, "x-forwarded-proto")                        \
  X(kXRequestId, "x-request-id")

enum class HeaderId : uint8_t {
  kOther,
#define SLUICE_HEADER_ENUM(id, name) id,
  SLUICE_HEADER_NAMES(SLUICE_HEADER_ENUM)
#undef SLUICE_HEADER_ENUM
};

/// A set of listed names in one word.
constexpr uint64_t Bit(HeaderId id) {
  return uint64_t{1} << static_cast<unsigned>(id);
}
template <class... Ids>
constexpr uint64_t Bits(Ids... ids) {
  return (Bit(ids) | ...);
}
constexpr bool Contains(uint64_t set, HeaderId id) {
  return (set >> static_cast<unsigned>(id) & 1) != 0;
}

/// The number of a name in lower case; kOther for every name that is not listed.
HeaderId FindHeaderId(std::string_view lower_case_name);

/// The name of a listed number.
std::string_view HeaderName(HeaderId id);

}  // namespace sluice
