// A scanned head is decided upon as soon as it is whole. Worker thread only.
#include "source/http/h1/head_parser.h"

#include "source/base/reason.h"

namespace sluice {
namespace {

HeadResult Failed(const HeadError& error) {
  return {HeadResult::kError, error.fault, 0, error.status, error.body, error.details};
}

}  // namespace

void HeadResult::Expire(bool idle, bool life) {
  status = 408;
  body = "request header timeout";
  details = "request_header_timeout";
  fault = HeadFault::kHeaderTimeout;
  if (!idle && !life) return;
  fault = idle ? HeadFault::kIdle : HeadFault::kTooLong;
  const ReasonMeaning& limit =
      MeaningOf(idle ? Reason::kStreamIdleTimeout : Reason::kMaxStreamDuration);
  body = limit.body;
  details = limit.details;
}

HeadResult RequestHeadParser::Parse(absl::Span<char> bytes, const HeadLimits& limits,
                                    RequestHead* head, Framing* framing) {
  const HeadScan::State state = scan_.Scan(bytes, limits, &head->headers);
  if (state == HeadScan::State::kNeedMore) return {};
  const HeadError error =
      state == HeadScan::State::kError ? scan_.error() : FrameRequest(scan_, limits, head, framing);
  if (!error.ok()) {
    DescribeRefused(scan_, head);
    return Failed(error);
  }
  head->wire_bytes = static_cast<uint32_t>(scan_.end());
  return {HeadResult::kDone, HeadFault::kProtocol, scan_.end(), 0, {}, {}};
}

HeadResult ResponseHeadParser::Parse(absl::Span<char> bytes, const HeadLimits& limits,
                                     ResponseHead* head, Framing* framing) {
  const HeadScan::State state = scan_.Scan(bytes, limits, &head->headers);
  if (state == HeadScan::State::kNeedMore) return {};
  if (state == HeadScan::State::kError) return Failed(scan_.error());
  if (const HeadError error = FrameResponse(scan_, request_, head, framing); !error.ok())
    return Failed(error);
  head->wire_bytes = static_cast<uint32_t>(scan_.end());
  return {HeadResult::kDone, HeadFault::kProtocol, scan_.end(), 0, {}, {}};
}

}  // namespace sluice
