// Writers of HTTP/1.1 heads and chunk framing. They append to a string that is reused, and never
// write a byte that could end a line early. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "source/http/message.h"

namespace sluice {

/// How the body of a request will be sent.
struct RequestFraming {
  enum Kind : uint8_t { kNone, kLength, kChunked };
  Kind kind = kNone;
  uint64_t length = 0;
};

/// How the body of a response will be sent, and what becomes of the connection.
struct ResponseFraming {
  enum Kind : uint8_t {
    kNone,  // HEAD, 1xx, 204, 304: no body; a Content-Length among the headers is written as it is
            // (not with 1xx and 204)
    kLength,
    kChunked,
    kUntilClose,  // HTTP/1.0 clients; say kClose with it
    kTunnel,      // 101, or 2xx to CONNECT: no body framing at all
  };
  enum Connection : uint8_t {
    kKeepAlive,     // HTTP/1.1: nothing needs to be said
    kSayKeepAlive,  // "connection: keep-alive", for an HTTP/1.0 client that asked for it
    kClose,         // "connection: close"
    kUpgrade,       // "connection: upgrade" and the Upgrade field of the head
  };
  Kind kind = kNone;
  uint64_t length = 0;
  Connection connection = kKeepAlive;
};

/// Appends the head of a request as HTTP/1.1: the target in origin form (authority form for
/// CONNECT), `host` first, then the headers without those that end at this hop (kNeverForwarded),
/// Content-Length or Transfer-Encoding as `framing` says, and Connection and Upgrade when
/// head.upgrade is set. Bytes that cannot stand in a request line are percent-encoded. Returns how
/// many fields were left out because their name or value cannot be written.
size_t WriteRequestHead(const RequestHead& head, const RequestFraming& framing, std::string* out);

/// The same for a response; the reason phrase is that of the status.
size_t WriteResponseHead(const ResponseHead& head, const ResponseFraming& framing,
                         std::string* out);

/// Appends the size line of a chunk of `size` > 0 bytes; write the bytes and "\r\n" behind it.
void WriteChunkHeader(uint64_t size, std::string* out);

/// Appends the last chunk and the trailer section; `trailers` may be null. Fields that may not be
/// trailers, or cannot be written, are left out; returns how many.
size_t WriteLastChunk(const Headers* trailers, std::string* out);

/// The phrase of a status, "" for unknown ones.
std::string_view ReasonPhrase(int status);

}  // namespace sluice
