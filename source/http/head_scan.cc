// The scan of a raw head: what is refused here never reaches a parser that might repair it. Worker
// thread only.
#include <array>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "source/base/strings.h"
#include "source/http/framing.h"

namespace sluice {
namespace {

// Some old clients send an empty line behind a body; nobody sends many.
constexpr uint8_t kMaxEmptyLines = 8;

// The lower case of each byte that may stand in a token, else 0.
constexpr std::array<char, 256> kTokenLower = [] {
  std::array<char, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = static_cast<char>(c);
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = static_cast<char>(c);
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = c;
  return table;
}();

constexpr HeadError kMalformed{400, "Bad Request", "http1.codec_error"};
constexpr HeadError kBadBytes{400, "Bad Request", "http1.invalid_characters"};
constexpr HeadError kBadCoding{400, "Bad Request", "http1.invalid_transfer_encoding"};
constexpr HeadError kUnknownCoding{501, "Not Implemented", "http1.invalid_transfer_encoding"};
constexpr HeadError kBothLengths{400, "Bad Request",
                                 "http1.content_length_and_chunked_not_allowed"};
constexpr HeadError kUnderscore{400, "Bad Request", "http1.unexpected_underscore"};
constexpr HeadError kTooLarge{431, "Request Header Fields Too Large", "http1.headers_too_large"};
constexpr HeadError kTooMany{431, "Request Header Fields Too Large", "http1.too_many_headers"};
constexpr HeadError kTargetTooLong{414, "URI Too Long", "http1.headers_too_large"};
constexpr HeadError kFragment{400, "", "path_normalization_failed"};
constexpr HeadError kBadTarget{400, "Bad Request", "http1.invalid_url"};
constexpr HeadError kLowVersion{426, "Upgrade Required", "low_version"};
constexpr HeadError kBadVersion{505, "HTTP Version Not Supported", "http1.unsupported_version"};

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// "HTTP/1.1" and "HTTP/1.0" are all we speak; the others differ in what they are told.
HeadError RequestVersion(std::string_view text, bool accept_http_10) {
  if (text == "HTTP/1.1") return {};
  if (text.size() != 8 || text.substr(0, 5) != "HTTP/" || !IsDigit(text[5]) || text[6] != '.' ||
      !IsDigit(text[7])) {
    return kMalformed;
  }
  if (text[5] == '0') return kMalformed;
  if (text == "HTTP/1.0") return accept_http_10 ? HeadError{} : kLowVersion;
  return text[5] == '1' || text[5] == '2' ? kBadVersion : kLowVersion;
}

// Of a transfer coding that is not exactly "chunked": is it one that somebody might speak, or an
// attempt to look like one?
HeadError ClassifyCoding(std::string_view value) {
  bool any = false;
  while (true) {
    const size_t comma = value.find(',');
    const std::string_view coding = Trim(value.substr(0, comma));
    const bool last = comma == std::string_view::npos;
    if (!IsToken(coding)) return kBadCoding;
    const bool is_chunked = EqualsIgnoreCase(coding, "chunked");
    // "chunked" may stand only once, and only at the end.
    if (is_chunked && !last) return kBadCoding;
    any = any || !is_chunked;
    if (last) break;
    value.remove_prefix(comma + 1);
  }
  return any ? kUnknownCoding : kBadCoding;
}

// A name that some servers read as one of the two framing fields.
bool ImitatesFraming(std::string_view lower_case_name) {
  auto is = [&](std::string_view original) {
    if (lower_case_name.size() != original.size()) return false;
    for (size_t i = 0; i < original.size(); ++i) {
      if (lower_case_name[i] != original[i] && !(original[i] == '-' && lower_case_name[i] == '_'))
        return false;
    }
    return true;
  };
  return is("transfer-encoding") || is("content-length");
}

}  // namespace

const char* FindControl(const char* begin, const char* end) {
#if defined(__SSE2__)
  const __m128i last_control = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'),
                del = _mm_set1_epi8(0x7f);
  for (; end - begin >= 16; begin += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const int mask = _mm_movemask_epi8(bad);
    if (mask != 0) return begin + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  for (; begin != end; ++begin) {
    const unsigned char c = static_cast<unsigned char>(*begin);
    if ((c < 0x20 && c != '\t') || c == 0x7f) break;
  }
  return begin;
}

bool IsToken(std::string_view text) {
  for (char c : text) {
    if (kTokenLower[static_cast<unsigned char>(c)] == 0) return false;
  }
  return !text.empty();
}

bool IsFieldValue(std::string_view value) {
  return FindControl(value.data(), value.data() + value.size()) == value.data() + value.size();
}

HeadScan::State HeadScan::Fail(HeadError error) {
  error_ = error;
  if (side_ == Side::kResponse) error_ = HeadError{502, "", error.details};
  return State::kError;
}

HeadScan::State HeadScan::NeedMore(bool at_limit) {
  if (!at_limit) return State::kNeedMore;
  return Fail(has_start_line_ ? kTooLarge : kTargetTooLong);
}

HeadScan::State HeadScan::Scan(absl::Span<char> bytes, const HeadLimits& limits) {
  if (!error_.ok()) return State::kError;
  char* const data = bytes.data();
  const size_t size = std::min(bytes.size(), limits.max_bytes);
  const bool at_limit = size == limits.max_bytes;
  while (true) {
    scanned_ = static_cast<size_t>(FindControl(data + scanned_, data + size) - data);
    if (scanned_ == size) return NeedMore(at_limit);
    if (data[scanned_] != '\r') return Fail(data[scanned_] == '\n' ? kMalformed : kBadBytes);
    if (scanned_ + 1 == size) return NeedMore(at_limit);
    if (data[scanned_ + 1] != '\n') return Fail(kBadBytes);
    const size_t line_size = scanned_ - line_;
    scanned_ += 2;
    if (line_size == 0 && has_start_line_) {
      end_ = scanned_;
      return State::kDone;
    }
    if (const HeadError error = Line(data + line_, line_size, limits); !error.ok())
      return Fail(error);
    line_ = scanned_;
  }
}

HeadError HeadScan::Line(char* line, size_t size, const HeadLimits& limits) {
  if (has_start_line_) return FieldLine(line, size, limits);
  if (size == 0)
    return side_ == Side::kResponse || ++empty_lines_ > kMaxEmptyLines ? kMalformed : HeadError{};
  has_start_line_ = true;
  begin_ = line_;
  return side_ == Side::kRequest ? RequestLine({line, size}, limits) : StatusLine({line, size});
}

HeadError HeadScan::RequestLine(std::string_view line, const HeadLimits& limits) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || !IsToken(line.substr(0, first)))
    return kMalformed;
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (const HeadError error = RequestVersion(version, limits.accept_http_10); !error.ok())
    return error;
  is_http_10_ = version == "HTTP/1.0";
  if (target.empty()) return kMalformed;
  bool has_fragment = false;
  for (char c : target) {
    // A backslash is a slash to some servers; blanks and bytes beyond ASCII are for the client to
    // encode.
    if (c <= ' ' || c == '\\') return kBadTarget;
    has_fragment = has_fragment || c == '#';
  }
  return has_fragment ? kFragment : HeadError{};
}

HeadError HeadScan::StatusLine(std::string_view line) {
  // "HTTP/1.1 200" without a blank behind it is common and cannot be misread.
  if (line.size() < 12 || (line.substr(0, 9) != "HTTP/1.1 " && line.substr(0, 9) != "HTTP/1.0 "))
    return kMalformed;
  is_http_10_ = line[7] == '0';
  if (line[9] < '1' || line[9] > '9' || !IsDigit(line[10]) || !IsDigit(line[11])) return kMalformed;
  return line.size() == 12 || line[12] == ' ' ? HeadError{} : kMalformed;
}

HeadError HeadScan::FieldLine(char* line, size_t size, const HeadLimits& limits) {
  if (++fields_ > limits.max_headers) return kTooMany;
  size_t colon = 0;
  bool has_underscore = false;
  while (colon < size) {
    const char lower = kTokenLower[static_cast<unsigned char>(line[colon])];
    if (lower == 0) break;
    has_underscore = has_underscore || lower == '_';
    line[colon++] = lower;
  }
  // No name, a fold or a blank before the name, a blank before the colon, no colon.
  if (colon == 0 || colon == size || line[colon] != ':') return kMalformed;
  const std::string_view name(line, colon);
  const std::string_view raw(line + colon + 1, size - colon - 1);
  if (has_underscore && (limits.underscores == HeadLimits::kReject || ImitatesFraming(name)))
    return kUnderscore;
  if (name == "content-length") return Length(raw);
  if (name == "transfer-encoding") return Coding(raw);
  return {};
}

HeadError HeadScan::Length(std::string_view raw) {
  std::string_view value = Trim(raw);
  if (side_ == Side::kRequest) {
    // A client that pads a length with more than blanks before it is up to something.
    value = raw;
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  }
  const auto length = value.size() <= 19 ? ParseDecimal<int64_t>(value) : std::nullopt;
  if (!length.has_value()) return kMalformed;
  if (has_coding_) return kBothLengths;
  if (has_length_ && length_ != static_cast<uint64_t>(*length)) return kMalformed;
  has_length_ = true;
  length_ = static_cast<uint64_t>(*length);
  return {};
}

HeadError HeadScan::Coding(std::string_view raw) {
  const std::string_view value = Trim(raw);
  if (!EqualsIgnoreCase(value, "chunked")) return ClassifyCoding(value);
  if (side_ == Side::kRequest && raw.find('\t') != std::string_view::npos) return kBadCoding;
  if (side_ == Side::kRequest && raw.back() == ' ') return kBadCoding;
  if (is_http_10_ || has_coding_) return kBadCoding;
  if (has_length_) return kBothLengths;
  has_coding_ = true;
  return {};
}

}  // namespace sluice
