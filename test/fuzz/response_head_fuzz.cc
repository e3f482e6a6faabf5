// Response heads: however the bytes arrive they mean the same, and what the client gets means what
// was received. The first byte of an input chooses the request. One thread.
#include <cstdint>

#include "source/http/h1/head_writer.h"
#include "source/http/h1/testing/split_input.h"
#include "test/fuzz/check.h"

namespace sluice {
namespace {

ResponseFraming FramingFor(const ParsedResponse& parsed) {
  switch (parsed.framing.kind) {
    case Framing::kNone:
      return {ResponseFraming::kNone, 0, ResponseFraming::kKeepAlive};
    case Framing::kLength:
      return {ResponseFraming::kLength, parsed.framing.length, ResponseFraming::kKeepAlive};
    case Framing::kChunked:
      return {ResponseFraming::kChunked, 0, ResponseFraming::kKeepAlive};
    case Framing::kUntilClose:
      return {ResponseFraming::kUntilClose, 0, ResponseFraming::kClose};
    case Framing::kTunnel:
      break;
  }
  return {ResponseFraming::kTunnel, 0,
          parsed.head->status == 101 ? ResponseFraming::kUpgrade : ResponseFraming::kKeepAlive};
}

void CheckRelayed(const ParsedResponse& parsed, const ResponseHeadParser& parser) {
  std::string text;
  FUZZ_CHECK(WriteResponseHead(*parsed.head, FramingFor(parsed), &text) == 0);
  FUZZ_CHECK(HasCleanLines(text));
  HeadLimits wide;
  wide.max_bytes = text.size() + 1;
  wide.max_headers += 8;
  const ParsedResponse again(parser, text, wide, {text.size()});
  FUZZ_CHECK(again.result.state == HeadResult::kDone);
  FUZZ_CHECK(again.result.consumed == text.size());
  FUZZ_CHECK(again.head->status == parsed.head->status);
  FUZZ_CHECK(again.framing.kind == parsed.framing.kind);
  FUZZ_CHECK(again.framing.length == parsed.framing.length);
  FUZZ_CHECK(again.head->headers.size() == parsed.head->headers.size());
  for (const Header& header : parsed.head->headers)
    FUZZ_CHECK(again.head->headers.Get(header.name).has_value());
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const uint8_t choice = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  ResponseHeadParser parser;
  parser.Reset((choice & 1) != 0, (choice & 2) != 0, (choice & 4) != 0 ? "websocket" : "");

  const ParsedResponse whole(parser, input, {}, {input.size()});
  const std::string expected = Describe(whole);
  if (input.size() <= 4096)
    FUZZ_CHECK(Describe(ParsedResponse(parser, input, {}, Cuts(input.size(), 1, 0))) == expected);
  FUZZ_CHECK(Describe(ParsedResponse(parser, input, {}, Cuts(input.size(), 0, choice))) ==
             expected);
  if (whole.result.state == HeadResult::kDone) CheckRelayed(whole, parser);
  return 0;
}
