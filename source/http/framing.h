// Framing: every decision about where an HTTP/1.1 message begins and ends and which of its fields
// may travel on; FRAMING.md lists the rules. Pure functions over bytes and fields, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "source/base/metric.h"
#include "source/http/header_id.h"
#include "source/http/message.h"

namespace sluice {

/// What a listener or a cluster accepts.
struct HeadLimits {
  enum Underscores : uint8_t { kAllow, kReject, kDrop };

  size_t max_bytes =
      60 * 1024;  // of the whole head, leading empty lines and the final empty line included
  size_t max_headers = 100;  // field lines
  Underscores underscores =
      kAllow;       // names with '_'; Transfer_Encoding and Content_Length are always refused
  Counter dropped;  // counts fields that were left out for their underscores
  bool accept_http_10 = false;
  bool allow_absolute_url = true;
  std::string_view scheme = "http";  // of requests whose target names none
};

/// What a message is refused for.
enum class HeadFault : uint8_t {
  kProtocol,    // it breaks the protocol
  kUnderscore,  // so by an underscore in a name
  kPath,        // its path is none
  kNoHost,
  kShed,           // overload
  kHeaderTimeout,  // it did not come in its time
  kIdle,           // stream_idle_timeout
  kTooLong,        // max_stream_duration
};

/// Why a message is refused. All views are constants. `status` is what a request is answered with
/// (the connection is closed after it); a bad response has 502.
struct HeadError {
  int status = 0;  // 0: no error
  std::string_view body;
  std::string_view details;  // %RESPONSE_CODE_DETAILS%
  HeadFault fault = HeadFault::kProtocol;

  bool ok() const { return status == 0; }
};

/// How the bytes behind a head are to be read.
struct Framing {
  enum Kind : uint8_t {
    kNone,        // no body
    kLength,      // `length` bytes; may be 0
    kChunked,     // see chunked.h
    kUntilClose,  // responses only
    kTunnel,  // CONNECT: what follows belongs to the tunnel once a 2xx was sent; responses: a 2xx
              // to CONNECT, or an expected 101
  };
  Kind kind = kNone;
  bool keep_alive = true;  // the connection may carry another message after this one
  uint64_t length = 0;
};

/// What the request was to which a response answers.
struct RequestTraits {
  bool is_head = false;
  bool is_connect = false;
  std::string_view upgrade;  // the protocol that was asked for, in lower case; empty for none
};

/// "host", "host:port" or "[v6]:port" of a name that can be dialled: no userinfo, no list,
/// port 1..65535 without leading zeros. RFC 9110 7.2, narrowed to the characters of DNS names and
/// addresses.
bool IsAuthority(std::string_view text, bool port_required);

/// A token of RFC 9110 5.6.2: field names, methods.
bool IsToken(std::string_view text);

/// True when `value` may be written as a field value: no CR, LF, NUL or other control byte but
/// HTAB.
bool IsFieldValue(std::string_view value);

/// The fields of a connection, which end at this hop.
inline constexpr uint64_t kHopByHop =
    Bits(HeaderId::kConnection, HeaderId::kHttp2Settings, HeaderId::kKeepAlive,
         HeaderId::kProxyConnection, HeaderId::kTe, HeaderId::kTrailer, HeaderId::kTransferEncoding,
         HeaderId::kUpgrade);
/// Fields that are never written to another hop: those of the connection itself (TE is written
/// anew), and the client's credentials for this proxy.
inline constexpr uint64_t kNeverForwarded =
    (kHopByHop & ~Bit(HeaderId::kTe)) | Bits(HeaderId::kProxyAuthorization, HeaderId::kExpect);

/// Fields that a trailer section must not carry (RFC 9110 6.5.1): framing, routing, credentials,
/// what this proxy vouches for.
bool ForbiddenInTrailers(HeaderId id, std::string_view lower_case_name);

}  // namespace sluice
