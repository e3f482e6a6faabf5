// A reader of HTTP/1.1 requests that knows one way only to write them: the judge of what the proxy
// sends to an origin. Shares no code with the proxy's own parsers. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace strict_http {

inline bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(static_cast<char>(c)) != kMarks.npos;
  });
}

inline std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

/// What is wrong with a stream of requests; empty: nothing. The last one may be cut anywhere.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::string Check() {
    while (problem_.empty() && !rest_.empty() && !tunnel_ && ReadRequest()) {
    }
    return problem_;
  }

 private:
  bool Wrong(std::string_view what) {
    problem_ = what;
    return false;
  }

  // A line without its end; nothing when it is cut or wrong.
  std::optional<std::string_view> Line() {
    for (size_t i = 0; i < rest_.size(); ++i) {
      const unsigned char c = static_cast<unsigned char>(rest_[i]);
      if (c == '\r') {
        if (i + 1 == rest_.size()) return std::nullopt;
        if (rest_[i + 1] != '\n') return Wrong("a CR alone"), std::nullopt;
        const std::string_view line = rest_.substr(0, i);
        rest_.remove_prefix(i + 2);
        return line;
      }
      if ((c < 0x20 && c != '\t') || c == 0x7f) return Wrong("a control byte"), std::nullopt;
    }
    return std::nullopt;
  }

  // Fields up to the empty line; false when they are cut or wrong.
  bool Fields(bool trailers) {
    while (true) {
      const auto line = Line();
      if (!line.has_value()) return false;
      if (line->empty()) return true;
      const size_t colon = line->find(':');
      if (colon == line->npos || !IsToken(line->substr(0, colon))) return Wrong("no field name");
      const std::string name = Lower(line->substr(0, colon));
      std::string_view value = line->substr(colon + 1);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
        value.remove_prefix(1);
      if (trailers && (name == "content-length" || name == "transfer-encoding" || name == "host"))
        return Wrong("framing in the trailers");
      if (name == "host" && ++hosts_ > 1) return Wrong("two hosts");
      if (name == "content-length") {
        if (length_.has_value()) return Wrong("two lengths");
        if (value.empty() || value.size() > 19 ||
            value.find_first_not_of("0123456789") != value.npos)
          return Wrong("a doubtful length");
        length_ = std::stoull(std::string(value));
      }
      if (name == "transfer-encoding") {
        if (std::exchange(chunked_, true) || value != "chunked") return Wrong("a doubtful coding");
      }
      if (name == "proxy-connection" || name == "keep-alive" || name == "proxy-authorization" ||
          name == "http2-settings")
        return Wrong("a field of the hop before");
      if (name == "connection" && Lower(value) == "upgrade") upgrade_ = true;
    }
  }

  bool ReadRequest() {
    hosts_ = 0;
    length_.reset();
    chunked_ = upgrade_ = false;
    const auto start = Line();
    if (!start.has_value()) return false;
    const size_t first = start->find(' ');
    const size_t second = first == start->npos ? first : start->find(' ', first + 1);
    if (second == start->npos || !IsToken(start->substr(0, first)) || second == first + 1 ||
        start->substr(second + 1) != "HTTP/1.1")
      return Wrong("no request line");
    if (!Fields(false)) return false;
    if (hosts_ != 1) return Wrong("no host");
    if (chunked_ && length_.has_value()) return Wrong("two framings");
    if (chunked_ && !Chunks()) return false;
    if (length_.has_value()) {
      const size_t size = std::min<uint64_t>(*length_, rest_.size());
      rest_.remove_prefix(size);
      if (size < *length_) return false;
    }
    // What follows may belong to another protocol; only the response would say.
    tunnel_ = upgrade_;
    return true;
  }

  bool Chunks() {
    while (true) {
      const auto line = Line();
      if (!line.has_value()) return false;
      if (line->empty() || line->size() > 16 ||
          line->find_first_not_of("0123456789abcdefABCDEF") != line->npos)
        return Wrong("a doubtful chunk size");
      const uint64_t size = std::stoull(std::string(*line), nullptr, 16);
      if (size == 0) return Fields(true);
      if (rest_.size() < size) {
        rest_ = {};
        return false;
      }
      rest_.remove_prefix(size);
      if (rest_.substr(0, 2) != std::string_view("\r\n").substr(0, rest_.size()))
        return Wrong("no line end behind a chunk");
      if (rest_.size() < 2) return false;
      rest_.remove_prefix(2);
    }
  }

  std::string_view rest_;
  std::string problem_;
  int hosts_ = 0;
  std::optional<uint64_t> length_;
  bool chunked_ = false;
  bool upgrade_ = false;
  bool tunnel_ = false;
};

}  // namespace strict_http
