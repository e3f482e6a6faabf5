// Beast splits a head that the scan has found sound into views; it never sees a byte of a body, and
// decides nothing about framing. Worker thread only.
#include "source/http/h1/head_parser.h"

#include <cstring>
#include <limits>

#include <boost/beast/http/basic_parser.hpp>

#include "source/base/strings.h"

namespace sluice {
namespace {

namespace beast = boost::beast;
using beast::error_code;

std::string_view Std(beast::string_view text) {
  return {text.data(), text.size()};
}

template <bool kIsRequest, class Head>
class BeastParser final : public beast::http::basic_parser<kIsRequest> {
 public:
  BeastParser(Head* head, bool drop_underscores)
      : head_(head), drop_underscores_(drop_underscores) {
    this->header_limit(std::numeric_limits<std::uint32_t>::max());  // The scan has kept ours.
    this->body_limit(boost::none);
    this->skip(true);
  }

  bool Read(std::string_view part) {
    error_code error;
    const size_t used = this->put(boost::asio::const_buffer(part.data(), part.size()), error);
    return used == part.size() && (!error || error == beast::http::error::need_more);
  }

  std::string_view target;

 private:
  void on_request_impl(beast::http::verb, beast::string_view method,
                       beast::string_view request_target, int version, error_code&) override {
    if constexpr (kIsRequest) {
      head_->method = Std(method);
      target = Std(request_target);
      head_->version = version == 10 ? HttpVersion::kHttp10 : HttpVersion::kHttp11;
    }
  }
  void on_response_impl(int status, beast::string_view, int version, error_code&) override {
    if constexpr (!kIsRequest) {
      head_->status = status;
      head_->version = version == 10 ? HttpVersion::kHttp10 : HttpVersion::kHttp11;
    }
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    const std::string_view lower = Std(name);  // The scan has lowered it in place.
    if (drop_underscores_ && lower.find('_') != std::string_view::npos) return;
    head_->headers.Add(FindHeaderId(lower), lower, Std(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  size_t on_body_impl(beast::string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  size_t on_chunk_body_impl(std::uint64_t, beast::string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}

  Head* head_;
  const bool drop_underscores_;
};

HeadResult Failed(const HeadError& error) {
  return {HeadResult::kError, 0, error.status, error.body, error.details};
}

}  // namespace

HeadResult RequestHeadParser::Parse(absl::Span<char> bytes, const HeadLimits& limits,
                                    RequestHead* head, Framing* framing) {
  const HeadScan::State state = scan_.Scan(bytes, limits);
  if (state == HeadScan::State::kNeedMore) return {};
  if (state == HeadScan::State::kError) return Failed(scan_.error());

  BeastParser<true, RequestHead> parser(head, limits.underscores == HeadLimits::kDrop);
  if (!parser.Read({bytes.data() + scan_.begin(), scan_.end() - scan_.begin()}) ||
      !parser.is_done()) {
    return Failed({400, "Bad Request", "http1.codec_error"});
  }
  if (const HeadError error = FrameRequest(scan_, parser.target, limits, head, framing);
      !error.ok())
    return Failed(error);
  head->wire_bytes = static_cast<uint32_t>(scan_.end());
  return {HeadResult::kDone, scan_.end(), 0, {}, {}};
}

HeadResult ResponseHeadParser::Parse(absl::Span<char> bytes, const HeadLimits& limits,
                                     ResponseHead* head, Framing* framing) {
  const HeadScan::State state = scan_.Scan(bytes, limits);
  if (state == HeadScan::State::kNeedMore) return {};
  if (state == HeadScan::State::kError) return Failed(scan_.error());

  BeastParser<false, ResponseHead> parser(head, limits.underscores == HeadLimits::kDrop);
  std::string_view text(bytes.data(), scan_.end());
  bool good = true;
  constexpr size_t kShortLine = 12;  // "HTTP/1.1 200", for which Beast wants a blank more.
  if (text[kShortLine] == '\r') {
    char line[kShortLine + 3];
    std::memcpy(line, text.data(), kShortLine);
    std::memcpy(line + kShortLine, " \r\n", 3);
    good = parser.Read({line, sizeof(line)});
    text.remove_prefix(kShortLine + 2);
  }
  if (!good || !parser.Read(text) || !parser.is_done())
    return Failed({502, "", "http1.codec_error"});
  if (const HeadError error = FrameResponse(scan_, request_, head, framing); !error.ok())
    return Failed(error);
  head->wire_bytes = static_cast<uint32_t>(scan_.end());
  return {HeadResult::kDone, scan_.end(), 0, {}, {}};
}

}  // namespace sluice
