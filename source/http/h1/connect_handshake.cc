// The client's side of CONNECT. Worker thread only.
#include "source/http/h1/connect_handshake.h"

#include "source/base/reason.h"
#include "source/http/h1/head_parser.h"
#include "source/http/h1/read_buffer.h"

namespace sluice {
namespace {

constexpr size_t kMaxHead = 16 * 1024;
constexpr int kMaxInterims = 10;

Task<absl::Status> ReadMore(Stream& stream, ReadBuffer& buffer) {
  const auto count = co_await stream.ReadSome(buffer.Room());
  if (!count.ok()) co_return count.status();
  if (*count == 0) co_return MakeError(Reason::kConnectionTerminated);
  buffer.Added(*count);
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::StatusOr<ConnectAnswer>> AskForTunnel(Stream& stream, std::string request) {
  const std::string_view part[] = {request};
  if (absl::Status written = co_await stream.Write(part); !written.ok()) co_return written;
  const HeadLimits limits{.max_bytes = kMaxHead, .max_headers = 100};
  ReadBuffer buffer;
  ResponseHeadParser parser;
  for (int interims = 0; interims <= kMaxInterims; ++interims) {
    auto head = std::make_unique<ResponseHead>();
    Framing framing;
    parser.Reset(false, true, "");
    HeadResult result;
    if (!buffer.empty()) result = parser.Parse(buffer.unread(), limits, head.get(), &framing);
    while (result.state == HeadResult::kNeedMore) {
      if (absl::Status more = co_await ReadMore(stream, buffer); !more.ok()) co_return more;
      result = parser.Parse(buffer.unread(), limits, head.get(), &framing);
    }
    if (result.state == HeadResult::kError)
      co_return MakeError(Reason::kUpstreamProtocol, result.details);
    head->arena.Keep(buffer.buffer());
    buffer.Consume(result.consumed);
    if (head->status >= 200) co_return ConnectAnswer{std::move(head), std::string(buffer.view())};
  }
  co_return MakeError(Reason::kUpstreamProtocol, "too many interim responses");
}

}  // namespace sluice
