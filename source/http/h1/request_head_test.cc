// What is accepted of a request head, what is refused and with which words. Test thread only.
#include <catch2/catch.hpp>

#include "source/http/h1/testing/split_input.h"

namespace sluice {
namespace {

ParsedRequest Parse(std::string_view input, const HeadLimits& limits = {}) {
  ParsedRequest whole(RequestHeadParser(), input, limits, {input.size()});
  const std::string expected = Describe(whole);
  CHECK(Describe(ParsedRequest(RequestHeadParser(), input, limits, Cuts(input.size(), 1, 0))) ==
        expected);
  for (uint32_t seed = 0; seed < 8; ++seed) {
    CHECK(Describe(ParsedRequest(RequestHeadParser(), input, limits,
                                 Cuts(input.size(), 0, seed))) == expected);
  }
  return whole;
}

// A GET of "/" on HTTP/1.1 with a good Host and these lines.
std::string WithFields(std::string_view fields, std::string_view method = "GET") {
  return Cat(method, " / HTTP/1.1\r\nHost: a.example\r\n", fields, "\r\n");
}

struct Refused {
  std::string input;
  int status;
  std::string_view details;
};

void CheckRefused(const std::vector<Refused>& rows) {
  for (const Refused& row : rows) {
    INFO(row.input);
    const ParsedRequest parsed = Parse(row.input);
    REQUIRE(parsed.result.state == HeadResult::kError);
    CHECK(parsed.result.status == row.status);
    CHECK(parsed.result.details == row.details);
  }
}

TEST_CASE("a plain request") {
  const std::string input =
      "GET /p?q=1 HTTP/1.1\r\nHost: a.example:8080\r\nX-One:  two \t\r\nUSER-AGENT: "
      "x\r\nempty:\r\n\r\nrest";
  const ParsedRequest parsed = Parse(input);
  REQUIRE(parsed.result.state == HeadResult::kDone);
  CHECK(parsed.result.consumed == input.size() - 4);
  const RequestHead& head = *parsed.head;
  CHECK(head.method == "GET");
  CHECK(head.path == "/p?q=1");
  CHECK(head.authority == "a.example:8080");
  CHECK(head.scheme == "http");
  CHECK(head.wire_bytes == input.size() - 4);
  CHECK(Describe(head.headers) == "x-one: two\nuser-agent: x\nempty: \n");
  CHECK(head.headers.Get(HeaderId::kUserAgent) == "x");
  CHECK(parsed.framing.kind == Framing::kNone);
  CHECK(head.keep_alive);
}

TEST_CASE("the lines of a request that are refused") {
  const std::string_view codec = "http1.codec_error", bytes = "http1.invalid_characters",
                         url = "http1.invalid_url";
  CheckRefused({
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, codec},
      {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400, bytes},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, codec},
      {"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, codec},
      {"GET /\r\n\r\n", 400, codec},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, codec},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, codec},
      {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", 400, codec},
      {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, codec},
      {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 400, codec},
      {"GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400, codec},
      {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "http1.unsupported_version"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http1.unsupported_version"},
      {"GET / HTTP/3.1\r\nHost: a\r\n\r\n", 426, "low_version"},
      {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426, "low_version"},
      {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, codec},
      {"GE\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, codec},
      {std::string("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 28), 400, bytes},
      {"\x16\x03\x01\x02", 400, bytes},
      {"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_normalization_failed"},
      {"GET /\\x HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET http://?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET http://a:0/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, url},
      {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "http1.invalid_scheme"},
  });
}

TEST_CASE("what is known of a request that is refused") {
  struct Row {
    std::string_view input, method, authority, path;
  };
  for (const Row& row : std::vector<Row>{
           {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "GET", "h", "/a#b"},
           {"GET http://h/a#b HTTP/1.1\r\n\r\n", "GET", "h", "/a#b"},
           {"GET http://u:p@h?x HTTP/1.1\r\n\r\n", "GET", "h", "?x"},
           {"GET /x HTTP/1.1\r\n\r\n", "GET", "", "/x"},
           {"GET u:p@h HTTP/1.1\r\nHost: h\r\n\r\n", "GET", "h", "h"},
           {"GET / HTTP/1.1\r\nHost: u:p@h\r\n\r\n", "GET", "h", "/"},
           {"GET /x HTTP/1.0\r\nHost: h\r\n\r\n", "GET", "", "/x"},
           {"GET /x HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", "GET", "h", "/x"},
           {"CONNECT h HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT", "h", ""},
           {"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", "", "", ""},
           {"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", "", "", ""},
       }) {
    INFO(row.input);
    const ParsedRequest parsed = Parse(row.input);
    CHECK(parsed.result.state == HeadResult::kError);
    CHECK(parsed.head->method == row.method);
    CHECK(parsed.head->authority == row.authority);
    CHECK(parsed.head->path == row.path);
  }
}

TEST_CASE("the fields of a request that are refused") {
  const std::string_view codec = "http1.codec_error", bytes = "http1.invalid_characters";
  CheckRefused({
      {WithFields("a: b\r\n c\r\n"), 400, codec},
      {WithFields("a: b\r\n\tc\r\n"), 400, codec},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, codec},
      {WithFields("a : b\r\n"), 400, codec},
      {WithFields("a\t: b\r\n"), 400, codec},
      {WithFields(": b\r\n"), 400, codec},
      {WithFields("a\r\n"), 400, codec},
      {WithFields("a(b: c\r\n"), 400, codec},
      {WithFields("\xc3\xa9: c\r\n"), 400, codec},
      {WithFields("a: b\nc: d\r\n"), 400, codec},
      {WithFields("a: b\rc: d\r\n"), 400, bytes},
      {WithFields("a: b\r\r\n"), 400, bytes},
      {WithFields(std::string_view("a: b\0c\r\n", 8)), 400, bytes},
      {WithFields("a: b\x01\r\n"), 400, bytes},
      {WithFields("a: 0123456789012345678901234567\x7f\r\n"), 400, bytes},
      {WithFields("a\x0b: b\r\n"), 400, bytes},
      {WithFields("Connection: a b\r\n"), 400, codec},
      {WithFields("Expect: 200-ok\r\nContent-Length: 1\r\n"), 417, "http1.unsupported_expectation"},
      {WithFields("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n"), 417,
       "http1.unsupported_expectation"},
      {WithFields("Expect: 100-continue, 100-continue\r\n"), 417, "http1.unsupported_expectation"},
      {WithFields("Transfer_Encoding: chunked\r\n"), 400, "http1.unexpected_underscore"},
      {WithFields("content_LENGTH: 3\r\n"), 400, "http1.unexpected_underscore"},
  });
}

TEST_CASE("bodies whose length cannot be trusted") {
  const std::string_view codec = "http1.codec_error", te = "http1.invalid_transfer_encoding";
  const std::string_view both = "http1.content_length_and_chunked_not_allowed";
  std::vector<Refused> rows = {
      {WithFields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "POST"), 400, both},
      {WithFields("tRANSFER-eNCODING: CHUNKED\r\ncONTENT-lENGTH: 0\r\n", "POST"), 400, both},
      {WithFields("Content-Length: 5\r\nContent-Length: 6\r\n", "POST"), 400, codec},
      {WithFields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "POST"), 400, te},
      {WithFields("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "POST"), 501,
       te},
      {WithFields("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "POST"), 501,
       te},
  };
  for (std::string_view value : {"5, 5", "+5", "-1", "0x5", "5 ", "5\t", "\t5", "", " ", "5,", "5;",
                                 "12345678901234567890", "9223372036854775808", "1e3", "5 5"}) {
    rows.push_back({WithFields(Cat("Content-Length: ", value, "\r\n"), "POST"), 400, codec});
  }
  for (std::string_view value :
       {"chunked, chunked", "chunked;q=1", "chunked, gzip", "chunked \t", "chunked ", "\tchunked",
        "", ",", "chunked,", ",chunked", "\"chunked\"", "chunked chunked", "gzip;q=1, chunked",
        "'chunked'; x"}) {
    rows.push_back({WithFields(Cat("Transfer-Encoding: ", value, "\r\n"), "POST"), 400, te});
  }
  for (std::string_view value :
       {"gzip", "gzip, chunked", "identity", "xchunked", "deflate", "chunke"}) {
    rows.push_back({WithFields(Cat("Transfer-Encoding: ", value, "\r\n"), "POST"), 501, te});
  }
  rows.push_back({WithFields("Transfer-Encoding: \x0b"
                             "chunked\r\n",
                             "POST"),
                  400, "http1.invalid_characters"});
  rows.push_back({WithFields("Transfer-Encoding:\r\n chunked\r\n", "POST"), 400, te});
  rows.push_back({WithFields("Transfer-Encoding : chunked\r\n", "POST"), 400, codec});
  CheckRefused(rows);

  HeadLimits old;
  old.accept_http_10 = true;
  CHECK(Parse("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", old)
            .result.details == te);
}

TEST_CASE("bodies") {
  ParsedRequest parsed = Parse(WithFields("Content-Length: 5\r\nContent-Length: 5\r\n"));
  CHECK(parsed.framing.kind == Framing::kLength);
  CHECK(parsed.framing.length == 5);
  CHECK(Describe(parsed.head->headers) == "content-length: 5\n");
  parsed = Parse(WithFields("Content-Length: 9223372036854775807\r\n"));
  CHECK(parsed.framing.length == 9223372036854775807u);
  parsed = Parse(WithFields("Transfer-Encoding: Chunked\r\nTrailer: x\r\n", "DELETE"));
  CHECK(parsed.framing.kind == Framing::kChunked);
  CHECK(parsed.head->headers.empty());
  parsed = Parse(WithFields("Expect: 100-Continue\r\nContent-Length: 5\r\n", "PUT"));
  CHECK(parsed.head->expects_continue);
  CHECK(Describe(parsed.head->headers) == "content-length: 5\n");
  parsed = Parse(WithFields("Expect: 100-continue\r\n"));
  CHECK(parsed.result.state == HeadResult::kDone);
  CHECK_FALSE(parsed.head->expects_continue);
}

TEST_CASE("hosts") {
  for (std::string_view host : {"a,b",
                                "u@a",
                                "u:p@a",
                                "a:",
                                "a:99999",
                                "a:65536",
                                "a:0",
                                "a:080",
                                "a:abc",
                                "a:-1",
                                "a:80:80",
                                ":80",
                                "a b",
                                "a/b",
                                "a\\b",
                                "a%41",
                                "\xc3\xa9.example",
                                "[::1",
                                "::1",
                                "[::1]x",
                                "[::1]:",
                                "[1.2.3.4]",
                                "[::1%25lo]",
                                "[]",
                                "[v1.a]",
                                "a?b",
                                "a#b",
                                "a\"",
                                "a\tb"}) {
    const std::string input = Cat("GET / HTTP/1.1\r\nHost: ", host, "\r\n\r\n");
    INFO(input);
    const ParsedRequest parsed = Parse(input);
    CHECK(parsed.result.status == 400);
    CHECK(parsed.result.details == "http.invalid_authority");
  }
  for (std::string_view host : {"a", "A.Example.", "a_b.c-d:1", "a:65535", "127.0.0.1:80", "[::1]",
                                "[::ffff:1.2.3.4]:443", ""}) {
    INFO(host);
    const ParsedRequest parsed = Parse(Cat("GET / HTTP/1.1\r\nHost: ", host, "\r\n\r\n"));
    REQUIRE(parsed.result.state == HeadResult::kDone);
    CHECK(parsed.head->authority == host);
  }
  ParsedRequest parsed = Parse("GET / HTTP/1.1\r\n\r\n");
  CHECK(parsed.result.status == 400);
  CHECK(parsed.result.body.empty());
  CHECK(parsed.result.details == "missing_host_header");
  CHECK(Parse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n").result.details ==
        "http.invalid_authority");
  CHECK(Parse("GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n").result.details ==
        "http.invalid_authority");
  CHECK(Parse("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n").result.details ==
        "http.invalid_authority");
}

TEST_CASE("targets") {
  struct Row {
    std::string_view target, scheme, authority, path;
    std::string_view method = "GET";
  };
  for (const Row& row : std::vector<Row>{
           {"/", "http", "a", "/"},
           {"//evil.example/x", "http", "a", "//evil.example/x"},
           {"/?x=http://b/", "http", "a", "/?x=http://b/"},
           {"http://b", "http", "b", "/"},
           {"HTTPS://b:8443/x?y", "https", "b:8443", "/x?y"},
           {"http://b?y", "http", "b", "/?y"},
           {"http://[::1]:80/x", "http", "[::1]:80", "/x"},
           {"*", "http", "a", "*", "OPTIONS"},
           {"http://b", "http", "b", "/", "OPTIONS"},
           {"/x", "http", "a", "/x", "OPTIONS"},
           {"/x", "http", "a", "/x", "PURGE"},
       }) {
    INFO(row.target);
    const ParsedRequest parsed =
        Parse(Cat(row.method, " ", row.target, " HTTP/1.1\r\nHost: a\r\n\r\n"));
    REQUIRE(parsed.result.state == HeadResult::kDone);
    CHECK(parsed.head->scheme == row.scheme);
    CHECK(parsed.head->authority == row.authority);
    CHECK(parsed.head->path == row.path);
  }
  CHECK(Parse("GET http://b/ HTTP/1.1\r\n\r\n").head->authority == "b");
  HeadLimits limits;
  limits.allow_absolute_url = false;
  limits.scheme = "https";
  CHECK(Parse("GET http://b/ HTTP/1.1\r\nHost: b\r\n\r\n", limits).result.status == 404);
  CHECK(Parse("GET / HTTP/1.1\r\nHost: b\r\n\r\n", limits).head->scheme == "https");
}

TEST_CASE("CONNECT") {
  for (std::string_view target :
       {"a", "a:", "a:0", "a:65536", "a:http", "u@a:80", "a:80/x", "/", "http://a:80",
        "http://a:80/", "[::1]", "::1:80", "a:443:80", ":80", "*"}) {
    INFO(target);
    const ParsedRequest parsed = Parse(Cat("CONNECT ", target, " HTTP/1.1\r\n\r\n"));
    CHECK(parsed.result.status == 400);
    CHECK(parsed.result.details == "http1.invalid_url");
  }
  for (std::string_view target : {"a:443", "[::1]:1", "127.0.0.1:65535"}) {
    INFO(target);
    const ParsedRequest parsed = Parse(
        Cat("CONNECT ", target, " HTTP/1.1\r\nHost: other\r\nContent-Length: 0\r\n\r\nearly"));
    REQUIRE(parsed.result.state == HeadResult::kDone);
    CHECK(parsed.head->authority == target);
    CHECK(parsed.head->path.empty());
    CHECK(parsed.head->headers.empty());
    CHECK(parsed.framing.kind == Framing::kTunnel);
    CHECK_FALSE(parsed.framing.keep_alive);
  }
  CHECK(Parse("CONNECT a:1 HTTP/1.1\r\nContent-Length: 1\r\n\r\n").result.details ==
        "http1.body_disallowed");
  CHECK(Parse("CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").result.details ==
        "http1.body_disallowed");
  CHECK(Parse("CONNECT a:1 HTTP/1.0\r\n\r\n").result.status == 426);
}

TEST_CASE("fields that end at this hop") {
  ParsedRequest parsed =
      Parse(WithFields("Connection: close, host, X-Forwarded-For, authorization, upgrade, "
                       "x-mine\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: s\r\n"
                       "X-Mine: 1\r\nX-Mine: 2\r\nkeep-alive: timeout=5\r\nProxy-Connection: "
                       "keep-alive\r\nTE: gzip\r\nHTTP2-Settings: x\r\n"
                       "Proxy-Authorization: p\r\nvia: 1.1 x\r\nother: 3\r\n"));
  CHECK(Describe(parsed.head->headers) ==
        "x-forwarded-for: 1.2.3.4\nproxy-authorization: p\nvia: 1.1 x\nother: 3\n");
  CHECK(parsed.head->authority == "a.example");
  CHECK_FALSE(parsed.head->keep_alive);

  parsed = Parse(WithFields("Connection: content-length\r\nContent-Length: 3\r\n"));
  CHECK(parsed.framing.length == 3);
  CHECK(Describe(parsed.head->headers) == "content-length: 3\n");
  parsed = Parse(WithFields("Connection: TE\r\nTE: gzip, Trailers\r\n"));
  CHECK(Describe(parsed.head->headers) == "te: trailers\n");
  CHECK(Parse(WithFields(Cat("Connection: ", std::string(2 * 65, 'x'), "\r\n"))).result.state ==
        HeadResult::kDone);
  std::string many = "Connection: a";
  for (int i = 0; i < 70; ++i) many += ",a";
  CHECK(Parse(WithFields(many + "\r\n")).result.status == 400);
}

TEST_CASE("upgrades") {
  auto upgrade = [](std::string_view fields) {
    return std::string(Parse(WithFields(fields)).head->upgrade);
  };
  CHECK(upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n") == "websocket");
  CHECK(upgrade("Connection: upgrade\r\nUpgrade: x/1\r\nContent-Length: 0\r\n") == "x/1");
  CHECK(upgrade("Upgrade: websocket\r\n").empty());
  CHECK(upgrade("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n")
            .empty());
  CHECK(upgrade("Connection: upgrade\r\nUpgrade: websocket, x\r\n").empty());
  CHECK(upgrade("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n").empty());
  CHECK(upgrade("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n").empty());
  CHECK(upgrade("Connection: upgrade\r\nUpgrade:\r\n").empty());
  CHECK(Parse(WithFields("Connection: upgrade\r\nUpgrade: websocket\r\n")).head->headers.empty());
}

TEST_CASE("limits") {
  HeadLimits limits;
  limits.max_bytes = 64;
  const std::string fits =
      "GET / HTTP/1.1\r\nHost: a\r\nx: " + std::string(64 - 32, 'x') + "\r\n\r\n";
  REQUIRE(fits.size() == 64);
  CHECK(Parse(fits, limits).result.state == HeadResult::kDone);
  std::string large = fits;
  large.insert(30, "x");
  CHECK(Parse(large, limits).result.status == 431);
  CHECK(Parse(large, limits).result.details == "http1.headers_too_large");
  CHECK(Parse("GET /" + std::string(100, 'x'), limits).result.status == 414);
  CHECK(Parse(std::string(100, 'x'), limits).result.status == 414);

  limits = {};
  limits.max_headers = 2;
  CHECK(Parse(WithFields("a: b\r\n"), limits).result.state == HeadResult::kDone);
  const ParsedRequest many = Parse(WithFields("a: b\r\nc: d\r\n"), limits);
  CHECK(many.result.status == 431);
  CHECK(many.result.details == "http1.too_many_headers");

  limits = {};
  CHECK(Parse(WithFields("a_b: c\r\n"), limits).head->headers.size() == 1);
  limits.underscores = HeadLimits::kDrop;
  CHECK(Describe(Parse(WithFields("a_b: c\r\nd: e\r\n"), limits).head->headers) == "d: e\n");
  limits.underscores = HeadLimits::kReject;
  CHECK(Parse(WithFields("a_b: c\r\n"), limits).result.details == "http1.unexpected_underscore");
}

TEST_CASE("HTTP/1.0 where it is accepted") {
  HeadLimits limits;
  limits.accept_http_10 = true;
  ParsedRequest parsed = Parse("GET / HTTP/1.0\r\n\r\n", limits);
  REQUIRE(parsed.result.state == HeadResult::kDone);
  CHECK(parsed.head->version == HttpVersion::kHttp10);
  CHECK(parsed.head->authority.empty());
  CHECK_FALSE(parsed.head->keep_alive);
  parsed = Parse(
      "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive, upgrade\r\nUpgrade: "
      "websocket\r\nExpect: x\r\n\r\n",
      limits);
  CHECK(parsed.head->keep_alive);
  CHECK(parsed.head->upgrade.empty());
  CHECK(parsed.head->headers.empty());
}

TEST_CASE("a parser is reset for the next message") {
  std::string bytes =
      "\r\nGET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /2 HTTP/1.1\r\nHost: "
      "a\r\n\r\n";
  RequestHeadParser parser;
  RequestHead first, second;
  Framing framing;
  const HeadResult one = parser.Parse({bytes.data(), bytes.size()}, {}, &first, &framing);
  REQUIRE(one.state == HeadResult::kDone);
  CHECK(framing.length == 1);
  parser.Reset();
  CHECK_FALSE(parser.started());
  const size_t at = one.consumed + 1;
  const HeadResult two =
      parser.Parse({bytes.data() + at, bytes.size() - at}, {}, &second, &framing);
  REQUIRE(two.state == HeadResult::kDone);
  CHECK(at + two.consumed == bytes.size());
  CHECK(second.path == "/2");
  CHECK(framing.kind == Framing::kNone);
}

}  // namespace
}  // namespace sluice
