// Request heads: however the bytes arrive they mean the same, and what is forwarded means what was
// received. The first byte of an input chooses limits and cuts. One thread.
#include <cstdint>

#include "source/http/h1/head_writer.h"
#include "source/http/h1/testing/split_input.h"
#include "test/fuzz/check.h"

namespace sluice {
namespace {

void CheckForwarded(const ParsedRequest& parsed, const HeadLimits& limits) {
  const RequestHead& head = *parsed.head;
  const RequestFraming framing{parsed.framing.kind == Framing::kChunked  ? RequestFraming::kChunked
                               : parsed.framing.kind == Framing::kLength ? RequestFraming::kLength
                                                                         : RequestFraming::kNone,
                               parsed.framing.length};
  std::string text;
  FUZZ_CHECK(WriteRequestHead(head, framing, &text) == 0);
  FUZZ_CHECK(HasCleanLines(text));
  HeadLimits wide = limits;
  wide.max_bytes = text.size() + 1;
  wide.max_headers += 8;
  const ParsedRequest again(RequestHeadParser(), text, wide, {text.size()});
  FUZZ_CHECK(again.result.state == HeadResult::kDone);
  FUZZ_CHECK(again.result.consumed == text.size());
  FUZZ_CHECK(again.head->method == head.method);
  FUZZ_CHECK(again.head->authority == head.authority);
  FUZZ_CHECK(again.head->path == head.path);
  FUZZ_CHECK(again.head->upgrade == head.upgrade);
  FUZZ_CHECK(again.framing.kind == parsed.framing.kind ||
             (parsed.framing.kind == Framing::kNone && again.framing.length == 0));
  FUZZ_CHECK(again.framing.length == parsed.framing.length);
  for (const Header& header : head.headers) {
    if (header.id == HeaderId::kProxyAuthorization) continue;
    FUZZ_CHECK(again.head->headers.Get(header.name).has_value());
  }
  FUZZ_CHECK(!again.head->headers.Has(HeaderId::kProxyAuthorization));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const uint8_t choice = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  HeadLimits limits;
  limits.accept_http_10 = (choice & 1) != 0;
  limits.allow_absolute_url = (choice & 2) == 0;
  limits.underscores = static_cast<HeadLimits::Underscores>((choice >> 2) % 3);
  if ((choice & 64) != 0) limits.max_bytes = 64;
  if ((choice & 128) != 0) limits.max_headers = 2;

  const ParsedRequest whole(RequestHeadParser(), input, limits, {input.size()});
  const std::string expected = Describe(whole);
  if (input.size() <= 4096)
    FUZZ_CHECK(Describe(ParsedRequest(RequestHeadParser(), input, limits,
                                      Cuts(input.size(), 1, 0))) == expected);
  FUZZ_CHECK(Describe(ParsedRequest(RequestHeadParser(), input, limits,
                                    Cuts(input.size(), 0, choice))) == expected);
  // An empty authority (Host without a value) is answered by the proxy and never written.
  if (whole.result.state == HeadResult::kDone && !whole.head->authority.empty())
    CheckForwarded(whole, limits);
  return 0;
}
