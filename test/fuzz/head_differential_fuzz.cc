// Heads as Sluice and as Boost's Beast understand them: what we accept Beast accepts, and finds the
// same method, target, status, version and fields in it. Beast refuses less, so nothing is asked of
// what we refuse. Every input is tried as a request and as a response; its first byte chooses what
// the listener allows. One thread.
#include <cstdint>
#include <cstring>
#include <limits>

#include <boost/beast/http/basic_parser.hpp>

#include "source/base/strings.h"
#include "source/http/h1/testing/split_input.h"
#include "test/fuzz/check.h"

namespace sluice {
namespace {

namespace beast = boost::beast;
using beast::error_code;

std::string_view Std(beast::string_view text) {
  return {text.data(), text.size()};
}

// What Beast makes of a whole head.
template <bool kIsRequest>
class Oracle final : public beast::http::basic_parser<kIsRequest> {
 public:
  Oracle() {
    this->header_limit(std::numeric_limits<std::uint32_t>::max());
    this->body_limit(boost::none);
    this->skip(true);
  }

  bool Read(std::string_view part) {
    error_code error;
    const size_t used = this->put(boost::asio::const_buffer(part.data(), part.size()), error);
    return used == part.size() && (!error || error == beast::http::error::need_more);
  }

  std::string method, target;
  int status = 0;
  int version = 0;
  std::vector<std::pair<std::string, std::string>> fields;

 private:
  void on_request_impl(beast::http::verb, beast::string_view verb,
                       beast::string_view request_target, int number, error_code&) override {
    method = Std(verb);
    target = Std(request_target);
    version = number;
  }
  void on_response_impl(int code, beast::string_view, int number, error_code&) override {
    status = code;
    version = number;
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    fields.emplace_back(ToLower(Std(name)), Std(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  size_t on_body_impl(beast::string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  size_t on_chunk_body_impl(std::uint64_t, beast::string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}
};

// The fields as the scan hands them on: what it keeps elsewhere is compared here.
template <bool kIsRequest>
std::string ExpectedFields(const Oracle<kIsRequest>& oracle, const HeadScan& scan,
                           const HeadLimits& limits) {
  std::string text;
  int hosts = 0, lengths = 0, codings = 0;
  for (const auto& [name, value] : oracle.fields) {
    if (kIsRequest && name == "host") {
      ++hosts;
      if (hosts == scan.hosts()) FUZZ_CHECK(scan.host() == value);
    } else if (name == "transfer-encoding") {
      ++codings;
      FUZZ_CHECK(EqualsIgnoreCase(value, "chunked"));
    } else if (name == "content-length" && ++lengths > 1) {
      FUZZ_CHECK(ParseDecimal<uint64_t>(value) == scan.length());
    } else if (limits.underscores != HeadLimits::kDrop || name.find('_') == std::string::npos) {
      AppendTo(&text, name, ": ", value, "\n");
    }
  }
  FUZZ_CHECK(scan.has_length() == (lengths > 0));
  FUZZ_CHECK(scan.chunked() == (codings > 0));
  if (kIsRequest) FUZZ_CHECK(scan.hosts() == hosts);
  return text;
}

// `parser` accepts `input`, of which the head is `size` bytes long.
template <bool kIsRequest>
void Compare(std::string_view input, const HeadLimits& limits, size_t size) {
  std::vector<char> bytes(input.begin(), input.end());
  HeadScan scan(kIsRequest ? HeadScan::Side::kRequest : HeadScan::Side::kResponse);
  Arena arena;
  Headers headers(arena);
  FUZZ_CHECK(scan.Scan({bytes.data(), bytes.size()}, limits, &headers) == HeadScan::State::kDone);
  FUZZ_CHECK(scan.end() == size);

  Oracle<kIsRequest> oracle;
  std::string text(input.substr(scan.begin(), size - scan.begin()));
  // "HTTP/1.1 200" without a blank behind it: Beast wants one.
  if (!kIsRequest && text[12] == '\r') text.insert(12, " ");
  FUZZ_CHECK(oracle.Read(text));
  FUZZ_CHECK(oracle.is_header_done());
  FUZZ_CHECK(oracle.method == scan.method());
  FUZZ_CHECK(oracle.target == scan.target());
  FUZZ_CHECK(oracle.status == scan.status());
  FUZZ_CHECK(oracle.version == (scan.is_http_10() ? 10 : 11));
  FUZZ_CHECK(ExpectedFields(oracle, scan, limits) == Describe(headers));
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

  const ParsedRequest request(RequestHeadParser(), input, limits, {input.size()});
  if (request.result.state == HeadResult::kDone)
    Compare<true>(input, limits, request.result.consumed);

  ResponseHeadParser parser;
  parser.Reset((choice & 16) != 0, (choice & 32) != 0, (choice & 64) != 0 ? "websocket" : "");
  const ParsedResponse response(parser, input, limits, {input.size()});
  if (response.result.state == HeadResult::kDone)
    Compare<false>(input, limits, response.result.consumed);
  return 0;
}
