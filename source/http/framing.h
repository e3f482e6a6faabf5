// Framing: every decision about where an HTTP/1.1 message begins and ends and which of its fields
// may travel on; FRAMING.md lists the rules. Pure functions over bytes and fields, any thread (a
// scan belongs to its connection's worker).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "source/http/message.h"

namespace sluice {

/// What a listener or a cluster accepts.
struct HeadLimits {
  enum Underscores : uint8_t { kAllow, kReject, kDrop };

  size_t max_bytes =
      60 * 1024;  // of the whole head, leading empty lines and the final empty line included
  size_t max_headers = 100;  // field lines
  Underscores underscores =
      kAllow;  // names with '_'; Transfer_Encoding and Content_Length are always refused
  bool accept_http_10 = false;
  bool allow_absolute_url = true;
  std::string_view scheme = "http";  // of requests whose target names none
};

/// Why a message is refused. All views are constants. `status` is what a request is answered with
/// (the connection is closed after it); a bad response has 502.
struct HeadError {
  int status = 0;  // 0: no error
  std::string_view body;
  std::string_view details;  // %RESPONSE_CODE_DETAILS%

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

/// Reads the raw lines of a head as they arrive, and refuses what two parsers could understand
/// differently: control bytes, a CR or LF alone, folds, blanks around names, malformed or
/// contradicting lengths. Remembers how far it came, so that a head that arrives in many pieces is
/// read once. Makes field names lower case in place.
class HeadScan {
 public:
  enum class Side : uint8_t { kRequest, kResponse };
  enum class State : uint8_t { kNeedMore, kDone, kError };

  explicit HeadScan(Side side) : side_(side) {}

  /// `bytes` begins where it began at the last call, and may be longer (or lie elsewhere).
  State Scan(absl::Span<char> bytes, const HeadLimits& limits);

  const HeadError& error() const { return error_; }
  /// True once a byte of the start line was seen: what came before were at most empty lines.
  bool started() const { return has_start_line_ || scanned_ > line_; }
  /// Of a done head: the first byte of its start line, and the first byte behind it.
  size_t begin() const { return begin_; }
  size_t end() const { return end_; }
  bool has_length() const { return has_length_; }
  uint64_t length() const { return length_; }
  bool chunked() const { return has_coding_; }

 private:
  HeadError Line(char* line, size_t size, const HeadLimits& limits);
  HeadError RequestLine(std::string_view line, const HeadLimits& limits);
  HeadError StatusLine(std::string_view line);
  HeadError FieldLine(char* line, size_t size, const HeadLimits& limits);
  HeadError Length(std::string_view raw);
  HeadError Coding(std::string_view raw);
  State NeedMore(bool at_limit);
  State Fail(HeadError error);

  Side side_;
  bool has_start_line_ = false;
  bool is_http_10_ = false;
  bool has_length_ = false;
  bool has_coding_ = false;
  uint64_t length_ = 0;
  size_t begin_ = 0;  // of the start line
  size_t line_ = 0;   // of the line that is being read
  size_t scanned_ = 0;
  size_t end_ = 0;
  size_t fields_ = 0;
  uint8_t empty_lines_ = 0;
  HeadError error_;
};

/// What the request was to which a response answers.
struct RequestTraits {
  bool is_head = false;
  bool is_connect = false;
  std::string_view upgrade;  // the protocol that was asked for, in lower case; empty for none
};

/// Decides on a request whose fields are all in head->headers and whose target is `target`: sets
/// scheme, authority, path, upgrade, keep_alive, expects_continue and the framing, and removes the
/// fields that belong to this hop.
HeadError FrameRequest(const HeadScan& scan, std::string_view target, const HeadLimits& limits,
                       RequestHead* head, Framing* framing);

/// The same for a response. The Upgrade field stays in a 101.
HeadError FrameResponse(const HeadScan& scan, const RequestTraits& request, ResponseHead* head,
                        Framing* framing);

/// "host", "host:port" or "[v6]:port" of a name that can be dialled: no userinfo, no list,
/// port 1..65535 without leading zeros. RFC 9110 7.2, narrowed to the characters of DNS names and
/// addresses.
bool IsAuthority(std::string_view text, bool port_required);

/// The first control byte other than HTAB (what a line may not hold), or `end`.
const char* FindControl(const char* begin, const char* end);

/// A token of RFC 9110 5.6.2: field names, methods.
bool IsToken(std::string_view text);

/// True when `value` may be written as a field value: no CR, LF, NUL or other control byte but
/// HTAB.
bool IsFieldValue(std::string_view value);

/// Fields that are never written to another hop: those of the connection itself, and the client's
/// credentials for this proxy.
bool NeverForwarded(HeaderId id);

/// Fields that a trailer section must not carry (RFC 9110 6.5.1): framing, routing, credentials,
/// what this proxy vouches for.
bool ForbiddenInTrailers(HeaderId id, std::string_view lower_case_name);

}  // namespace sluice
