// Test support: the same bytes whole, byte by byte and in random pieces must mean the same. Test
// thread only.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "source/base/strings.h"
#include "source/http/h1/chunked.h"
#include "source/http/h1/head_parser.h"

namespace sluice {

/// Positions at which input of `size` bytes is cut, in order, ending with `size`.
inline std::vector<size_t> Cuts(size_t size, size_t step, uint32_t seed) {
  std::vector<size_t> cuts;
  std::minstd_rand random(seed + 1);
  for (size_t at = 0; at < size;) {
    at = std::min(size, at + (step > 0 ? step : 1 + random() % 40));
    cuts.push_back(at);
  }
  if (cuts.empty()) cuts.push_back(0);
  return cuts;
}

/// A head parsed from copies of `input` that grow as `cuts` says, each at another address.
template <class Parser, class Head>
struct Parsed {
  Parsed(Parser parser, std::string_view input, const HeadLimits& limits,
         const std::vector<size_t>& cuts)
      : head(std::make_unique<Head>()) {
    for (size_t cut : cuts) {
      std::vector<char> next(bytes);
      next.insert(next.end(), input.begin() + static_cast<std::ptrdiff_t>(bytes.size()),
                  input.begin() + static_cast<std::ptrdiff_t>(cut));
      bytes.swap(next);
      result = parser.Parse({bytes.data(), bytes.size()}, limits, head.get(), &framing);
      if (result.state != HeadResult::kNeedMore) return;
    }
  }

  std::vector<char> bytes;
  std::unique_ptr<Head> head;
  Framing framing;
  HeadResult result;
};
using ParsedRequest = Parsed<RequestHeadParser, RequestHead>;
using ParsedResponse = Parsed<ResponseHeadParser, ResponseHead>;

inline std::string Describe(const Headers& headers) {
  std::string text;
  for (const Header& header : headers) AppendTo(&text, header.name, ": ", header.value, "\n");
  return text;
}

inline std::string Outcome(const HeadResult& result, const Framing& framing) {
  if (result.state == HeadResult::kNeedMore) return "more";
  if (result.state == HeadResult::kError)
    return Cat("error ", result.status, " ", result.body, " ", result.details);
  return Cat("done ", result.consumed, " kind ", static_cast<int>(framing.kind), " length ",
             framing.length, framing.keep_alive ? " keep" : " close");
}

/// Everything that was understood, as text.
inline std::string Describe(const ParsedRequest& parsed) {
  std::string text = Outcome(parsed.result, parsed.framing);
  if (parsed.result.state != HeadResult::kDone) return text;
  const RequestHead& head = *parsed.head;
  AppendTo(&text, "\n", head.method, " ", head.scheme, " ", head.authority, " ", head.path, " ",
           ToString(head.version), " ", head.upgrade, head.expects_continue ? " expects" : "", "\n",
           Describe(head.headers));
  return text;
}
inline std::string Describe(const ParsedResponse& parsed) {
  std::string text = Outcome(parsed.result, parsed.framing);
  if (parsed.result.state != HeadResult::kDone) return text;
  AppendTo(&text, "\n", parsed.head->status, " ", ToString(parsed.head->version), "\n",
           Describe(parsed.head->headers));
  return text;
}

/// A decoded body: its data, or the details of its error, and its trailers.
struct Decoded {
  ChunkedDecoder::Step::State state = ChunkedDecoder::Step::kNeedMore;
  std::string data, details, trailers;
  size_t consumed = 0;

  bool operator==(const Decoded& other) const {
    // Where the input is refused, and how much was data until then, is part of the meaning.
    return state == other.state && data == other.data && details == other.details &&
           trailers == other.trailers &&
           (state != ChunkedDecoder::Step::kEnd || consumed == other.consumed);
  }
};

inline Decoded Decode(std::string_view input, const ChunkedDecoder::Limits& limits,
                      const std::vector<size_t>& cuts) {
  using Step = ChunkedDecoder::Step;
  Decoded decoded;
  ChunkedDecoder decoder(limits);
  Arena arena;
  Headers trailers(arena);
  for (size_t cut : cuts) {
    while (true) {
      const std::string piece(input.substr(
          decoded.consumed, cut - decoded.consumed));  // its own memory: overruns are seen
      const Step step = decoder.Next(piece, &trailers);
      decoded.state = step.state;
      decoded.data.append(step.data);
      decoded.consumed += step.consumed;
      if (step.state == Step::kNeedMore) break;
      if (step.state == Step::kData) continue;
      decoded.details = step.details;
      decoded.trailers = Describe(trailers);
      return decoded;
    }
  }
  return decoded;
}

}  // namespace sluice
