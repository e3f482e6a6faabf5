// What is accepted of a response head, and how its body is delimited. Test thread only.
#include <catch2/catch.hpp>

#include "source/http/h1/testing/split_input.h"

namespace sluice {
namespace {

ParsedResponse Parse(std::string_view input, const RequestTraits& request = {}) {
  ResponseHeadParser parser;
  parser.Reset(request.is_head, request.is_connect, request.upgrade);
  ParsedResponse whole(parser, input, {}, {input.size()});
  const std::string expected = Describe(whole);
  CHECK(Describe(ParsedResponse(parser, input, {}, Cuts(input.size(), 1, 0))) == expected);
  for (uint32_t seed = 0; seed < 8; ++seed)
    CHECK(Describe(ParsedResponse(parser, input, {}, Cuts(input.size(), 0, seed))) == expected);
  return whole;
}

TEST_CASE("responses that are refused") {
  for (const std::string& input : std::vector<std::string>{
           "HTTP/1.1 200 OK\nX: y\r\n\r\n",
           "HTTP/1.1 200 O\rK\r\n\r\n",
           "HTTP/1.1 200 O\x01K\r\n\r\n",
           std::string("HTTP/1.1 200 O\0K\r\n\r\n", 20),
           "\r\nHTTP/1.1 200 OK\r\n\r\n",
           "HTTP/0.9 200 OK\r\n\r\n",
           "HTTP/1.2 200 OK\r\n\r\n",
           "HTTP/2.0 200 OK\r\n\r\n",
           "http/1.1 200 OK\r\n\r\n",
           "ICY 200 OK\r\n\r\n",
           "HTTP/1.1  200 OK\r\n\r\n",
           "HTTP/1.1 2000 OK\r\n\r\n",
           "HTTP/1.1 20 OK\r\n\r\n",
           "HTTP/1.1 -20 OK\r\n\r\n",
           "HTTP/1.1 099 OK\r\n\r\n",
           "HTTP/1.1\r\n\r\n",
           "<html>\r\n\r\n",
           "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
           "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
           "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
           "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
           "HTTP/1.1 200 OK\r\na: b\x7f\r\n\r\n",
           "HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
           "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
           "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\n",
           "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n",
       }) {
    INFO(input);
    const ParsedResponse parsed = Parse(input);
    REQUIRE(parsed.result.state == HeadResult::kError);
    CHECK(parsed.result.status == 502);
    CHECK(parsed.result.details.substr(0, 6) == "http1.");
  }
}

TEST_CASE("how a response's body is delimited") {
  struct Row {
    std::string_view input;
    Framing::Kind kind;
    uint64_t length;
    bool keep_alive;
    std::string_view headers;
    RequestTraits request = {};
  };
  const RequestTraits head{true, false, {}}, connect{false, true, {}};
  for (const Row& row : std::vector<Row>{
           {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::kLength, 5, true,
            "content-length: 5\n"},
           {"HTTP/1.1 200 OK\r\nContent-Length:\t5 \r\nContent-Length: 5\r\n\r\n", Framing::kLength,
            5, true, "content-length: 5\n"},
           {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Framing::kLength, 0, true,
            "content-length: 0\n"},
           {"HTTP/1.1 999 \r\nTransfer-Encoding: chunked \r\n\r\n", Framing::kChunked, 0, true, ""},
           {"HTTP/1.1 200 \xc3\xa9\r\n\r\n", Framing::kUntilClose, 0, false, ""},
           {"HTTP/1.1 200 OK\r\nConnection: Close, x-a\r\nContent-Length: 1\r\nX-A: 1\r\n\r\n",
            Framing::kLength, 1, false, "content-length: 1\n"},
           {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", Framing::kLength, 1, false,
            "content-length: 1\n"},
           {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\nKeep-Alive: "
            "x\r\n\r\n",
            Framing::kLength, 1, true, "content-length: 1\n"},
           {"HTTP/1.1 204 No Content\r\n\r\n", Framing::kNone, 0, true, ""},
           {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Framing::kNone, 0, true, ""},
           {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Framing::kNone, 0, false, ""},
           {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::kNone, 0,
            false, ""},
           {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Framing::kNone, 0, true,
            "content-length: 5\n"},
           {"HTTP/1.1 100 Continue\r\n\r\n", Framing::kNone, 0, true, ""},
           {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::kNone, 0, true,
            "content-length: 5\n", head},
           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::kNone, 0, true, "",
            head},
           {"HTTP/1.1 200 OK\r\n\r\n", Framing::kNone, 0, true, "", head},
           {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::kTunnel, 0, true, "", connect},
           {"HTTP/1.1 407 No\r\nContent-Length: 5\r\nProxy-Authenticate: Basic\r\n\r\n",
            Framing::kLength, 5, true, "content-length: 5\nproxy-authenticate: Basic\n", connect},
           {"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nUpgrade: TLS/1.0, "
            "HTTP/1.1\r\n\r\n",
            Framing::kLength, 0, true, "content-length: 0\n"},
       }) {
    INFO(row.input);
    const ParsedResponse parsed = Parse(row.input, row.request);
    REQUIRE(parsed.result.state == HeadResult::kDone);
    CHECK(parsed.result.consumed == row.input.size());
    CHECK(parsed.framing.kind == row.kind);
    CHECK(parsed.framing.length == row.length);
    CHECK(parsed.framing.keep_alive == row.keep_alive);
    CHECK(Describe(parsed.head->headers) == row.headers);
  }
}

TEST_CASE("101 only for what was asked for") {
  const std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
      "WebSocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
  const ParsedResponse parsed = Parse(answer, {false, false, "websocket"});
  REQUIRE(parsed.result.state == HeadResult::kDone);
  CHECK(parsed.framing.kind == Framing::kTunnel);
  CHECK(Describe(parsed.head->headers) == "upgrade: WebSocket\nsec-websocket-accept: x\n");
  CHECK(Parse(answer, {false, false, "other"}).result.details == "http1.unexpected_upgrade");
  CHECK(Parse("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", {false, false, "websocket"})
            .result.details == "http1.unexpected_upgrade");
  CHECK(Parse("HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n", {false, false, "websocket"})
            .result.details == "http1.unexpected_upgrade");
}

}  // namespace
}  // namespace sluice
