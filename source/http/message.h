// Requests and responses as filters see them, whatever HTTP version carried them. Heads are pooled
// per worker and moved by pointer. Belongs to one worker.
#pragma once

#include <memory>
#include <string_view>

#include "source/base/free_lists.h"
#include "source/http/body.h"
#include "source/http/headers.h"
#include "source/net/stream.h"

namespace sluice {

enum class HttpVersion : uint8_t { kHttp10, kHttp11, kHttp2 };
std::string_view ToString(HttpVersion version);  // "HTTP/1.1", as %PROTOCOL% prints it

/// All views point into `arena` or into buffers that it keeps. Hop-by-hop fields are gone: the
/// session has understood and removed them. `host` is not among the headers: it is `authority`.
/// Change a view by assigning a string that the arena holds: `head.path = head.arena.Copy("/new")`.
struct RequestHead final : Pooled<RequestHead> {
  RequestHead() : headers(arena) {}

  Arena arena;
  std::string_view method;     // "GET"
  std::string_view scheme;     // "http", "https"
  std::string_view authority;  // "example.com:8080"; of a CONNECT its target
  std::string_view path;  // path and query as sent upstream; empty for CONNECT; "*" for OPTIONS *,
                          // which is answered 404 before any filter
  std::string_view upgrade;  // protocol of an accepted Upgrade request, in lower case
                             // ("websocket"); empty otherwise
  HttpVersion version = HttpVersion::kHttp11;
  bool keep_alive = true;  // the client is willing to reuse its connection
  bool expects_continue =
      false;  // the client waits for a 100, and it is the origin's to give: forwarded as Expect
  uint32_t wire_bytes = 0;  // size of the head as received
  Headers headers;

  bool is_connect() const { return method == "CONNECT"; }
  bool is_head() const { return method == "HEAD"; }
  /// Its content-type is application/grpc, or that with a '+'; parameters make it another, as in
  /// Envoy.
  bool is_grpc() const;
  /// A header or one of ":method", ":scheme", ":authority" ("host"), ":path".
  std::optional<std::string_view> Get(std::string_view lower_case_name) const;
  /// `path` up to the query.
  std::string_view PathOnly() const { return path.substr(0, path.find('?')); }
};
using RequestHeadPtr = std::unique_ptr<RequestHead>;

struct ResponseHead final : Pooled<ResponseHead> {
  explicit ResponseHead(int status = 200) : status(status), headers(arena) {}

  Arena arena;
  int status;
  HttpVersion version = HttpVersion::kHttp11;
  uint32_t wire_bytes = 0;
  bool is_local = false;  // the proxy's own answer: local_reply_config may change it
  Headers headers;

  /// A header or ":status".
  std::optional<std::string_view> Get(std::string_view lower_case_name);
};
using ResponseHeadPtr = std::unique_ptr<ResponseHead>;

struct Request {
  RequestHead* head;  // belongs to the exchange and lives until the log line is written
  BodyPtr body;
};

struct Response {
  ResponseHeadPtr head;
  BodyPtr body;
  /// Set when the exchange leaves HTTP (CONNECT, Upgrade): after the head is written, bytes flow
  /// between the client and this stream until both directions have ended. Wrap it to see or change
  /// them.
  StreamPtr tunnel;
};

}  // namespace sluice
