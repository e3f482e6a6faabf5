// The chunked coding, strictly. Test thread only.
#include <catch2/catch.hpp>

#include "source/http/h1/testing/split_input.h"

namespace sluice {
namespace {

using Step = ChunkedDecoder::Step;

Decoded Check(std::string_view input, const ChunkedDecoder::Limits& limits = {}) {
  const Decoded whole = Decode(input, limits, {input.size()});
  CHECK(Decode(input, limits, Cuts(input.size(), 1, 0)) == whole);
  for (uint32_t seed = 0; seed < 8; ++seed)
    CHECK(Decode(input, limits, Cuts(input.size(), 0, seed)) == whole);
  return whole;
}

TEST_CASE("bodies that are accepted") {
  struct Row {
    std::string_view input, data, trailers;
  };
  for (const Row& row : std::vector<Row>{
           {"0\r\n\r\n", "", ""},
           {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
           {"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n000\r\n\r\n", "hello world", ""},
           {"00A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
           {"a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n", ""},
           {"1;a\r\nx\r\n1;a=b;c=\"d \\\" ;\\\\\"\r\ny\r\n0;z\r\n\r\n", "xy", ""},
           {"0\r\nX-A: 1 \r\nx-b:\r\n\r\n", "", "x-a: 1\nx-b: \n"},
           {"0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\nAuthorization: "
            "b\r\nX-Forwarded-For: c\r\nCookie: d\r\nok: e\r\n\r\n",
            "", "ok: e\n"},
       }) {
    INFO(row.input);
    const Decoded decoded = Check(row.input);
    CHECK(decoded.state == Step::kEnd);
    CHECK(decoded.consumed == row.input.size());
    CHECK(decoded.data == row.data);
    CHECK(decoded.trailers == row.trailers);
    // What follows is not touched.
    CHECK(Check(Cat(row.input, "GET")).consumed == row.input.size());
  }
}

TEST_CASE("bodies that are refused") {
  for (const std::string& input : std::vector<std::string>{"\r\n",
                                                           "x\r\n",
                                                           "-1\r\n",
                                                           "+1\r\n",
                                                           "0x5\r\nhello\r\n",
                                                           " 5\r\nhello\r\n",
                                                           "5 \r\nhello\r\n",
                                                           "5\t\r\nhello\r\n",
                                                           "5;\r\nhello\r\n",
                                                           "5;;a\r\nhello\r\n",
                                                           "5;a=\r\nhello\r\n",
                                                           "5; a\r\nhello\r\n",
                                                           "5;a =b\r\nhello\r\n",
                                                           "5;a=\"\r\n\"\r\nhello\r\n",
                                                           "5;a=\"b\"c\r\nhello\r\n",
                                                           "5;a=\"\\\r\nhello\r\n",
                                                           "5\nhello\r\n",
                                                           "5\rhello\r\n",
                                                           "5\r\nhello\n0\r\n\r\n",
                                                           "5\r\nhello\r0\r\n\r\n",
                                                           "5\r\nhello0\r\n\r\n",
                                                           "5\r\nhello!\r\n0\r\n\r\n",
                                                           "5\r\nhell\r\n0\r\n\r\n",
                                                           "12345678901234567\r\n",
                                                           "00000000000000001\r\nx\r\n",
                                                           "8000000000000000\r\n",
                                                           "ffffffffffffffff\r\n",
                                                           "0\r\n\n",
                                                           "0\n\r\n",
                                                           "0\r\nX: y\n\r\n",
                                                           "0\r\n X: y\r\n\r\n",
                                                           "0\r\nX : y\r\n\r\n",
                                                           "0\r\n: y\r\n\r\n",
                                                           "0\r\nX\r\n\r\n",
                                                           "0\r\nX: y\r\n z\r\n\r\n",
                                                           "0\r\nX: y\x01\r\n\r\n",
                                                           "0\r\nX: y\rz\r\n\r\n",
                                                           "5;a\xff\r\nhello\r\n"}) {
    INFO(input);
    const Decoded decoded = Check(input);
    CHECK(decoded.state == Step::kError);
    CHECK(decoded.details.substr(0, 6) == "http1.");
  }
}

TEST_CASE("bodies that are not complete") {
  for (std::string_view input :
       {"", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n",
        "0\r\n", "0\r\n\r", "0\r\nx: y\r\n", "7fffffffffffffff\r\n"}) {
    INFO(input);
    CHECK(Check(input).state != Step::kEnd);
    CHECK(Check(input).state != Step::kError);
  }
}

TEST_CASE("limits") {
  ChunkedDecoder::Limits limits;
  limits.max_size_line = 10;
  CHECK(Check("1;abcdef\r\nx\r\n0\r\n\r\n", limits).state == Step::kEnd);
  CHECK(Check("1;abcdefg\r\nx\r\n0\r\n\r\n", limits).state == Step::kError);
  limits = {};
  limits.max_extensions = 8;
  CHECK(Check("1;abc\r\nx\r\n1;abc\r\nx\r\n0\r\n\r\n", limits).state == Step::kEnd);
  CHECK(Check("1;abc\r\nx\r\n1;abcd\r\nx\r\n0\r\n\r\n", limits).state == Step::kError);
  limits = {};
  limits.max_trailer_bytes = 10;
  CHECK(Check("0\r\na: bcde\r\n\r\n", limits).details == "http1.trailers_too_large");
  CHECK(Check("0\r\na: b\r\n\r\n", limits).state == Step::kEnd);
  CHECK(Check("0\r\n" + std::string(100, 'a'), limits).details == "http1.trailers_too_large");
  limits = {};
  limits.max_trailers = 1;
  CHECK(Check("0\r\na:b\r\nc:d\r\n\r\n", limits).details == "http1.too_many_trailers");
}

TEST_CASE("data is not copied") {
  const std::string input = "5\r\nhello\r\n";
  ChunkedDecoder decoder;
  const Step step = decoder.Next(input, nullptr);
  REQUIRE(step.state == Step::kData);
  CHECK(step.data.data() == input.data() + 3);
  CHECK(step.consumed == 8);
}

}  // namespace
}  // namespace sluice
