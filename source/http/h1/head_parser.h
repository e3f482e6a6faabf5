// Parsers of HTTP/1.1 heads: from bytes to heads whose fields are views into those bytes. No I/O;
// each belongs to one connection, and is used on its worker.
#pragma once

#include <string_view>

#include "absl/types/span.h"
#include "source/http/head_scan.h"
#include "source/http/message.h"

namespace sluice {

struct HeadResult {
  enum State : uint8_t { kNeedMore, kDone, kError };
  State state = kNeedMore;
  HeadFault fault = HeadFault::kProtocol;
  size_t consumed = 0;  // of a done head: its size, with the empty lines before it
  int status = 0;       // of an error: see HeadError; the views are constants
  std::string_view body;
  std::string_view details;

  /// A head did not come in time: it was `idle`, or else its stream's `life` was over, or else the
  /// time for heads alone.
  void Expire(bool idle, bool life);
};

/// Reads requests. After kDone or kError, Reset() before the next message.
class RequestHeadParser {
 public:
  void Reset() { scan_ = HeadScan(HeadScan::Side::kRequest); }
  /// True when bytes of a head (not only empty lines) have been seen since Reset().
  bool started() const { return scan_.started(); }

  /// `bytes` is all that is unread; after kNeedMore call again with the same head and at least one
  /// byte more, beginning with the same bytes (they may have moved). Linear in the size of the head
  /// however it is cut. Field names become lower case in place. On kDone the views of `head` point
  /// into `bytes` and head->arena: keep that buffer in head->arena. On kError `head` has what is
  /// known for a log (DescribeRefused), and the fields that were read.
  HeadResult Parse(absl::Span<char> bytes, const HeadLimits& limits, RequestHead* head,
                   Framing* framing);

 private:
  HeadScan scan_{HeadScan::Side::kRequest};
};

/// Reads responses, interim ones included; what a response means depends on its request.
class ResponseHeadParser {
 public:
  /// Call before each response. `upgrade` is the protocol that was asked for, in lower case, and
  /// must stay in place.
  void Reset(bool to_head, bool to_connect, std::string_view upgrade) {
    scan_ = HeadScan(HeadScan::Side::kResponse);
    request_ = RequestTraits{to_head, to_connect, upgrade};
  }

  /// See RequestHeadParser::Parse. Errors have status 502.
  HeadResult Parse(absl::Span<char> bytes, const HeadLimits& limits, ResponseHead* head,
                   Framing* framing);

 private:
  HeadScan scan_{HeadScan::Side::kResponse};
  RequestTraits request_;
};

}  // namespace sluice
