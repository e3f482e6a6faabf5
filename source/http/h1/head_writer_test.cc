// What is written is what was meant, and nothing that a receiver could read as more. Test thread
// only.
#include <catch2/catch.hpp>

#include "source/http/h1/head_writer.h"
#include "source/http/h1/testing/split_input.h"

namespace sluice {
namespace {

std::string Write(const RequestHead& head, const RequestFraming& framing = {},
                  size_t left_out = 0) {
  std::string out = "before|";
  CHECK(WriteRequestHead(head, framing, &out) == left_out);
  return out.substr(7);
}
std::string Write(const ResponseHead& head, const ResponseFraming& framing = {},
                  size_t left_out = 0) {
  std::string out = "before|";
  CHECK(WriteResponseHead(head, framing, &out) == left_out);
  return out.substr(7);
}

void Fill(RequestHead& head, std::string_view method, std::string_view authority,
          std::string_view path) {
  head.method = method;
  head.authority = authority;
  head.path = path;
}

TEST_CASE("requests") {
  RequestHead head;
  Fill(head, "GET", "a:80", "/x?y");
  head.headers.AddCopy("X-A", "1");
  head.headers.AddCopy("Proxy-Authorization", "secret");
  head.headers.AddCopy("Connection", "x");
  head.headers.AddCopy("Transfer-Encoding", "chunked");
  head.headers.AddCopy("Host", "other");
  CHECK(Write(head) == "GET /x?y HTTP/1.1\r\nhost: a:80\r\nx-a: 1\r\n\r\n");
  CHECK(Write(head, {RequestFraming::kLength, 12}) ==
        "GET /x?y HTTP/1.1\r\nhost: a:80\r\nx-a: 1\r\ncontent-length: 12\r\n\r\n");
  CHECK(Write(head, {RequestFraming::kChunked, 0}) ==
        "GET /x?y HTTP/1.1\r\nhost: a:80\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n");
  head.headers.AddCopy("Content-Length", "7");
  CHECK(Write(head, {RequestFraming::kLength, 3}) ==
        "GET /x?y HTTP/1.1\r\nhost: a:80\r\nx-a: 1\r\ncontent-length: 3\r\n\r\n");
}

TEST_CASE("requests without a body say so where one is expected") {
  RequestHead head;
  Fill(head, "POST", "a", "/");
  CHECK(Write(head) == "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
  RequestHead get;
  Fill(get, "GET", "a", "/");
  get.headers.AddCopy("content-length", "0");
  CHECK(Write(get) == "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
}

TEST_CASE("CONNECT, upgrades, TE") {
  RequestHead connect;
  Fill(connect, "CONNECT", "a:443", "");
  CHECK(Write(connect) == "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n");
  RequestHead head;
  Fill(head, "GET", "a", "/");
  head.headers.Add(HeaderId::kTe, "trailers");
  CHECK(Write(head) == "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n");
  head.upgrade = "websocket";
  CHECK(Write(head) ==
        "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: upgrade, te\r\nupgrade: "
        "websocket\r\n\r\n");
}

TEST_CASE("nothing can be smuggled into a head") {
  RequestHead head;
  Fill(head, "GE T", "a", "/x y\r\nz\xc3");
  head.headers.Add(HeaderId::kOther, "a", "b\r\nc: d");
  head.headers.Add(HeaderId::kOther, "a\r\nb", "c");
  head.headers.Add(HeaderId::kOther, "", "c");
  head.headers.Add(HeaderId::kUserAgent, std::string_view("a\0b", 3));
  head.headers.Add(HeaderId::kOther, "ok", "\t\xff");
  CHECK(Write(head, {}, 4) == "GE%20T /x%20y%0D%0Az%C3 HTTP/1.1\r\nhost: a\r\nok: \t\xff\r\n\r\n");
  RequestHead host;
  Fill(host, "GET", "a\r\nb", "/");
  CHECK(Write(host, {}, 1) == "GET / HTTP/1.1\r\n\r\n");
  ResponseHead response(7);
  response.headers.Add(HeaderId::kServer, "a\n");
  CHECK(Write(response, {}, 1) == "HTTP/1.1 500 Internal Server Error\r\n\r\n");
}

TEST_CASE("responses") {
  ResponseHead head(404);
  head.headers.AddCopy("Content-Length", "9");
  head.headers.AddCopy("upgrade", "websocket");
  head.headers.AddCopy("Proxy-Authenticate", "Basic");
  using F = ResponseFraming;
  CHECK(Write(head, {F::kLength, 5, F::kKeepAlive}) ==
        "HTTP/1.1 404 Not Found\r\nproxy-authenticate: Basic\r\ncontent-length: 5\r\n\r\n");
  CHECK(Write(head, {F::kChunked, 0, F::kClose}) ==
        "HTTP/1.1 404 Not Found\r\nproxy-authenticate: Basic\r\ntransfer-encoding: "
        "chunked\r\nconnection: close\r\n\r\n");
  CHECK(Write(head, {F::kUntilClose, 0, F::kSayKeepAlive}) ==
        "HTTP/1.1 404 Not Found\r\nproxy-authenticate: Basic\r\nconnection: keep-alive\r\n\r\n");
  CHECK(Write(head, {F::kNone, 0, F::kKeepAlive}) ==
        "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\nproxy-authenticate: Basic\r\n\r\n");
  head.status = 204;
  CHECK(Write(head) == "HTTP/1.1 204 No Content\r\nproxy-authenticate: Basic\r\n\r\n");
  head.status = 101;
  CHECK(Write(head, {F::kTunnel, 0, F::kUpgrade}) ==
        "HTTP/1.1 101 Switching Protocols\r\nproxy-authenticate: Basic\r\nconnection: "
        "upgrade\r\nupgrade: websocket\r\n\r\n");
  CHECK(Write(ResponseHead(200)) == "HTTP/1.1 200 OK\r\n\r\n");
  CHECK(Write(ResponseHead(799)) == "HTTP/1.1 799 \r\n\r\n");
}

TEST_CASE("chunks") {
  std::string out;
  WriteChunkHeader(1, &out);
  WriteChunkHeader(0xdeadbeefcafe, &out);
  WriteChunkHeader(~uint64_t{0}, &out);
  CHECK(out == "1\r\ndeadbeefcafe\r\nffffffffffffffff\r\n");
  out.clear();
  CHECK(WriteLastChunk(nullptr, &out) == 0);
  Arena arena;
  Headers trailers(arena);
  trailers.AddCopy("X-Sum", "1");
  trailers.AddCopy("Content-Length", "1");
  trailers.AddCopy("x", "a\rb");
  CHECK(WriteLastChunk(&trailers, &out) == 2);
  CHECK(out == "0\r\n\r\n0\r\nx-sum: 1\r\n\r\n");
}

TEST_CASE("a reused string is not allocated again") {
  RequestHead head;
  Fill(head, "GET", "a.example", "/x");
  std::string out;
  WriteRequestHead(head, {}, &out);
  const char* const memory = out.data();
  out.clear();
  WriteRequestHead(head, {}, &out);
  CHECK(out.data() == memory);
}

}  // namespace
}  // namespace sluice
