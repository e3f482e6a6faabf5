// HeadScan: from the bytes of an HTTP/1.1 head to its parts, in one pass, as they arrive. What two
// parsers could understand differently is refused here; FRAMING.md has the rules. No I/O; belongs
// to one connection, and is used on its worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "source/http/field_name.h"
#include "source/http/framing.h"
#include "source/http/headers.h"

namespace sluice {

/// Refuses control bytes, a CR or LF alone, folds, blanks around names, malformed or contradicting
/// lengths. Remembers how far it came, so that a head that arrives in many pieces is read once.
/// Makes field names lower case in place.
class HeadScan {
 public:
  enum class Side : uint8_t { kRequest, kResponse };
  enum class State : uint8_t { kNeedMore, kDone, kError };

  explicit HeadScan(Side side) : side_(side) {}

  /// `bytes` begins where it began at the last call, and may be longer (or lie elsewhere). Adds the
  /// fields to `headers`, the same at every call, as views into `bytes`; but for Transfer-Encoding,
  /// equal lengths after the first, and Host in a request.
  State Scan(absl::Span<char> bytes, const HeadLimits& limits, Headers* headers);

  /// Why Scan() said kError.
  HeadError error() const;
  /// True once a byte of the start line was seen: what came before were at most empty lines.
  bool started() const { return has_start_line_ || scanned_ > line_; }

  /// Of a done head, and of one that is refused behind its request line; else empty.
  std::string_view method() const { return method_; }
  std::string_view target() const { return target_; }

  // Of a done head.
  /// The first byte of its start line, and the first byte behind it.
  size_t begin() const { return begin_; }
  size_t end() const { return scanned_; }
  /// The target has a '#'.
  bool has_fragment() const { return has_fragment_; }
  int status() const { return status_; }
  bool is_http_10() const { return is_http_10_; }
  /// How many Host fields a request has, and the value of the last.
  int hosts() const { return hosts_; }
  std::string_view host() const { return host_; }
  bool has_length() const { return has_length_; }
  uint64_t length() const { return length_; }
  bool chunked() const { return has_coding_; }

 private:
  // nullptr: nothing is wrong.
  using Problem = const HeadError*;

  State Read(char* data, size_t size, const HeadLimits& limits, Headers* headers);
  char* EndOfLine(const char* data, char* from, char* end, bool at_limit, State* state);
  Problem FirstLine(const char* line, size_t size, const HeadLimits& limits);
  Problem RequestLine(std::string_view line, const HeadLimits& limits);
  Problem StatusLine(std::string_view line);
  Problem Field(char* line, char* end, FieldName name, const HeadLimits& limits, Headers* headers);
  Problem OddName(std::string_view name, const HeadLimits& limits, bool* drop) const;
  Problem Length(std::string_view raw);
  Problem Coding(std::string_view raw);
  State NeedMore(bool at_limit);
  State Fail(Problem problem);
  void Moved(const char* to, Headers* headers);

  Side side_;
  bool has_start_line_ = false;
  bool is_http_10_ = false;
  bool has_length_ = false;
  bool has_coding_ = false;
  bool has_fragment_ = false;
  uint8_t empty_lines_ = 0;
  int hosts_ = 0;
  int status_ = 0;
  size_t begin_ = 0;  // of the start line
  size_t line_ = 0;   // of the line that is being read
  size_t scanned_ = 0;
  size_t fields_ = 0;
  uint64_t length_ = 0;
  const char* data_ = nullptr;  // where the bytes lay at the last call
  std::string_view method_, target_, host_;
  Problem problem_ = nullptr;
};

/// Decides on a request of which `scan` is done and has filled head->headers: sets method, scheme,
/// authority, path, version, upgrade, keep_alive, expects_continue and the framing, and removes the
/// fields that belong to this hop. This one and the next are in framing.cc.
HeadError FrameRequest(const HeadScan& scan, const HeadLimits& limits, RequestHead* head,
                       Framing* framing);

/// For the log: what the request line and the host of a request that is refused say, as far as
/// `scan` came. The method stays empty when it did not come to that.
void DescribeRefused(const HeadScan& scan, RequestHead* head);

/// The same for a response. The Upgrade field stays in a 101.
HeadError FrameResponse(const HeadScan& scan, const RequestTraits& request, ResponseHead* head,
                        Framing* framing);

}  // namespace sluice
