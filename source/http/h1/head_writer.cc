// A head is measured, then copied into place: no allocation once the string has grown. Any thread.
#include "source/http/h1/head_writer.h"

#include <charconv>
#include <cstring>

#include "source/http/bytes.h"
#include "source/http/framing.h"

namespace sluice {
namespace {

constexpr std::string_view kChunked = "transfer-encoding: chunked\r\n";
constexpr std::string_view kLengthName = "content-length: ";
constexpr size_t kRoom = 256;  // for the lines that are ours: version, framing, connection

// Writes into the room that was made at the end of a string.
class Writer {
 public:
  Writer(std::string* out, size_t room) : out_(out), begin_(out->size()) {
    out->resize(begin_ + room);
    at_ = out->data() + begin_;
  }
  ~Writer() { out_->resize(static_cast<size_t>(at_ - out_->data())); }
  Writer(const Writer&) = delete;

  void Put(std::string_view text) { at_ = CopyBytes(at_, text.data(), text.size()); }
  template <size_t kSize>
  void Put(const char (&text)[kSize]) {
    std::memcpy(at_, text, kSize - 1);
    at_ += kSize - 1;
  }
  void Number(uint64_t number, int base = 10) {
    at_ = std::to_chars(at_, at_ + 20, number, base).ptr;
  }
  void Field(std::string_view name, std::string_view value) {
    Put(name);
    Put(": ");
    Put(value);
    Put("\r\n");
  }
  void Length(uint64_t length) {
    Put(kLengthName);
    Number(length);
    Put("\r\n");
  }
  // Part of a request line: what would end it early is percent-encoded.
  void Encoded(std::string_view text) {
    if (HasNone<UnsafeBytes<>>(text)) return Put(text);
    for (char c : text) {
      if (c > ' ' && c < 0x7f) {
        *at_++ = c;
      } else {
        const unsigned char byte = static_cast<unsigned char>(c);
        constexpr char kDigits[] = "0123456789ABCDEF";
        *at_++ = '%';
        *at_++ = kDigits[byte >> 4];
        *at_++ = kDigits[byte & 15];
      }
    }
  }

 private:
  std::string* out_;
  size_t begin_;
  char* at_;
};

bool IsSafe(const Header& header) {
  if (header.known != Header::kNothing) return true;
  // Names of listed headers are constants, those of others may come from a filter.
  return (header.id != HeaderId::kOther || IsToken(header.name)) && IsFieldValue(header.value);
}

size_t SizeOf(const Headers& headers) {
  size_t size = 0;
  for (const Header& header : headers) size += header.name.size() + header.value.size() + 4;
  return size;
}

// Methods for which a server expects a body: it is told when there is none (RFC 9110 8.6).
bool AnnouncesEmptyBody(const RequestHead& head) {
  return head.method == "POST" || head.method == "PUT" || head.method == "PATCH" ||
         head.headers.Has(HeaderId::kContentLength);
}

// The line of a field as it was received, if it is written as we would write it; else empty.
std::string_view LineOf(const Header& header) {
  if (header.known != Header::kLine) return {};
  const char* const begin = header.name.data();
  const char* const value = header.value.data();
  const char* const end = value + header.value.size();
  if (value != begin + header.name.size() + 2 || value[-1] != ' ' || *end != '\r') return {};
  return {begin, static_cast<size_t>(end - begin) + 2};
}

// Writes the fields whose names are not in `omitted`, of those in `once` the first; how many could
// not be written. Lines that lie side by side, as most do, go in one piece.
size_t WriteFields(const Headers& headers, uint64_t omitted, uint64_t once, Writer& out) {
  size_t left_out = 0;
  std::string_view lines;
  for (const Header& header : headers) {
    if (Contains(omitted, header.id)) continue;
    omitted |= Bit(header.id) & once;
    const std::string_view line = LineOf(header);
    if (line.empty()) {
      out.Put(std::exchange(lines, {}));
      if (IsSafe(header)) {
        out.Field(header.name, header.value);
      } else {
        ++left_out;
      }
    } else if (line.data() == lines.data() + lines.size()) {
      lines = {lines.data(), lines.size() + line.size()};
    } else {
      out.Put(std::exchange(lines, line));
    }
  }
  out.Put(lines);
  return left_out;
}

void WriteStatusLine(int status, Writer& out) {
  // Three digits whatever a filter has set: a status line cannot hold others.
  const int code = status >= 100 && status <= 999 ? status : 500;
  if (code == 200) return out.Put("HTTP/1.1 200 OK\r\n");
  out.Put("HTTP/1.1 ");
  out.Number(static_cast<uint64_t>(code));
  out.Put(" ");
  out.Put(ReasonPhrase(code));
  out.Put("\r\n");
}

void WriteConnection(const ResponseHead& head, ResponseFraming::Connection connection,
                     Writer& out) {
  switch (connection) {
    case ResponseFraming::kKeepAlive:
      return;
    case ResponseFraming::kSayKeepAlive:
      return out.Field("connection", "keep-alive");
    case ResponseFraming::kClose:
      return out.Field("connection", "close");
    case ResponseFraming::kUpgrade:
      out.Field("connection", "upgrade");
      // It counts among the headers' bytes, so there is room.
      if (const auto protocol = head.headers.Get(HeaderId::kUpgrade);
          protocol.has_value() && IsFieldValue(*protocol)) {
        out.Field("upgrade", *protocol);
      }
      return;
  }
}

}  // namespace

size_t WriteRequestHead(const RequestHead& head, const RequestFraming& framing, std::string* out) {
  const bool is_connect = head.is_connect();
  const std::string_view target = is_connect ? head.authority : head.path;
  Writer writer(out, kRoom + 3 * (head.method.size() + target.size()) + head.authority.size() +
                         head.upgrade.size() + SizeOf(head.headers));
  size_t left_out = 0;
  writer.Encoded(head.method);
  writer.Put(" ");
  writer.Encoded(target.empty() ? std::string_view("/") : target);
  writer.Put(" HTTP/1.1\r\n");
  if (HasNone<UnsafeBytes<>>(head.authority)) {
    writer.Field("host", head.authority);
  } else {
    ++left_out;
  }
  left_out += WriteFields(
      head.headers, kNeverForwarded | Bits(HeaderId::kContentLength, HeaderId::kHost), 0, writer);
  const bool has_te = head.headers.Has(HeaderId::kTe);
  if (framing.kind == RequestFraming::kChunked) {
    writer.Put(kChunked);
  } else if (framing.kind == RequestFraming::kLength) {
    writer.Length(framing.length);
  } else if (!is_connect && AnnouncesEmptyBody(head)) {
    writer.Length(0);
  }
  if (!head.upgrade.empty() && HasNone<UnsafeBytes<>>(head.upgrade)) {
    writer.Field("connection", has_te ? "upgrade, te" : "upgrade");
    writer.Field("upgrade", head.upgrade);
  } else if (has_te) {
    writer.Put("connection: te\r\n");  // RFC 9110 10.1.4
  }
  if (head.expects_continue) writer.Put("expect: 100-continue\r\n");
  writer.Put("\r\n");
  return left_out;
}

size_t WriteResponseHead(const ResponseHead& head, const ResponseFraming& framing,
                         std::string* out) {
  Writer writer(out, kRoom + SizeOf(head.headers));
  size_t left_out = 0;
  WriteStatusLine(head.status, writer);
  const bool tells_length =
      framing.kind == ResponseFraming::kNone && head.status >= 200 && head.status != 204;
  constexpr uint64_t kLength = Bit(HeaderId::kContentLength);
  left_out += WriteFields(head.headers, tells_length ? kNeverForwarded : kNeverForwarded | kLength,
                          kLength, writer);
  if (framing.kind == ResponseFraming::kChunked) writer.Put(kChunked);
  if (framing.kind == ResponseFraming::kLength) writer.Length(framing.length);
  WriteConnection(head, framing.connection, writer);
  writer.Put("\r\n");
  return left_out;
}

void WriteChunkHeader(uint64_t size, std::string* out) {
  Writer writer(out, 32);
  writer.Number(size, 16);
  writer.Put("\r\n");
}

size_t WriteLastChunk(const Headers* trailers, std::string* out) {
  if (trailers == nullptr || trailers->empty()) {
    out->append("0\r\n\r\n");
    return 0;
  }
  Writer writer(out, SizeOf(*trailers) + 16);
  size_t left_out = 0;
  writer.Put("0\r\n");
  for (const Header& header : *trailers) {
    if (ForbiddenInTrailers(header.id, header.name) || !IsSafe(header)) {
      ++left_out;
    } else {
      writer.Field(header.name, header.value);
    }
  }
  writer.Put("\r\n");
  return left_out;
}

}  // namespace sluice
