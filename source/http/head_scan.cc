// Reads the raw lines of a head: what is refused here is never understood by anybody. Worker thread
// only.
#include "source/http/head_scan.h"

#include <algorithm>
#include <cstring>

#include "source/base/strings.h"
#include "source/http/bytes.h"
#include "source/http/field_name.h"

namespace sluice {
namespace {

// Some old clients send an empty line behind a body; nobody sends many.
constexpr uint8_t kMaxEmptyLines = 8;

constexpr HeadError kMalformed{400, "Bad Request", "http1.codec_error"};
constexpr HeadError kBadBytes{400, "Bad Request", "http1.invalid_characters"};
constexpr HeadError kBadCoding{400, "Bad Request", "http1.invalid_transfer_encoding"};
constexpr HeadError kUnknownCoding{501, "Not Implemented", "http1.invalid_transfer_encoding"};
constexpr HeadError kBothLengths{400, "Bad Request",
                                 "http1.content_length_and_chunked_not_allowed"};
constexpr HeadError kUnderscore{400, "Bad Request", "http1.unexpected_underscore",
                                HeadFault::kUnderscore};
constexpr HeadError kTooLarge{431, "Request Header Fields Too Large", "http1.headers_too_large"};
constexpr HeadError kTooMany{431, "Request Header Fields Too Large", "http1.too_many_headers"};
constexpr HeadError kTargetTooLong{414, "URI Too Long", "http1.headers_too_large"};
constexpr HeadError kBadTarget{400, "Bad Request", "http1.invalid_url"};
constexpr HeadError kLowVersion{426, "Upgrade Required", "low_version"};
constexpr HeadError kBadVersion{505, "HTTP Version Not Supported", "http1.unsupported_version"};

constexpr std::string_view kVersion = " HTTP/1.1";
constexpr uint64_t kFramingFields =
    Bits(HeaderId::kContentLength, HeaderId::kTransferEncoding, HeaderId::kHost);

// "HTTP/1.1" and "HTTP/1.0" are all we speak; the others differ in what they are told.
const HeadError* RequestVersion(std::string_view text, bool accept_http_10) {
  if (text == "HTTP/1.1") return nullptr;
  if (text.size() != 8 || text.substr(0, 5) != "HTTP/" || !IsDigit(text[5]) || text[6] != '.' ||
      !IsDigit(text[7])) {
    return &kMalformed;
  }
  if (text[5] == '0') return &kMalformed;
  if (text == "HTTP/1.0") return accept_http_10 ? nullptr : &kLowVersion;
  return text[5] == '1' || text[5] == '2' ? &kBadVersion : &kLowVersion;
}

// Of a transfer coding that is not exactly "chunked": is it one that somebody might speak, or an
// attempt to look like one?
const HeadError* ClassifyCoding(std::string_view value) {
  bool any = false;
  while (true) {
    const size_t comma = value.find(',');
    const std::string_view coding = Trim(value.substr(0, comma));
    const bool last = comma == std::string_view::npos;
    if (!IsToken(coding)) return &kBadCoding;
    const bool is_chunked = EqualsIgnoreCase(coding, "chunked");
    // "chunked" may stand only once, and only at the end.
    if (is_chunked && !last) return &kBadCoding;
    any = any || !is_chunked;
    if (last) break;
    value.remove_prefix(comma + 1);
  }
  return any ? &kUnknownCoding : &kBadCoding;
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

// Blanks and bytes beyond ASCII are for the client to encode. A backslash is a slash to some
// servers, but for one in a query, where regular expressions have them.
const HeadError* CheckTarget(std::string_view target, bool* has_fragment) {
  const char* const end = target.data() + target.size();
  const char* odd = FindFirst<UnsafeBytes<'\\', '#'>>(target.data(), end);
  if (odd == end) return nullptr;
  const char* const query = target.data() + std::min(target.find('?'), target.size());
  for (; odd != end; odd = FindFirst<UnsafeBytes<'\\', '#'>>(odd + 1, end)) {
    if (*odd == '#') {
      *has_fragment = true;
    } else if (*odd != '\\' || odd < query) {
      return &kBadTarget;
    }
  }
  return nullptr;
}

bool IsBlank(char c) {
  return c == ' ' || c == '\t';
}

}  // namespace

HeadError HeadScan::error() const {
  if (problem_ == nullptr) return {};
  return side_ == Side::kRequest ? *problem_ : HeadError{502, "", problem_->details};
}

HeadScan::State HeadScan::Fail(Problem problem) {
  problem_ = problem;
  return State::kError;
}

HeadScan::State HeadScan::NeedMore(bool at_limit) {
  if (!at_limit) return State::kNeedMore;
  return Fail(has_start_line_ ? &kTooLarge : &kTargetTooLong);
}

void HeadScan::Moved(const char* to, Headers* headers) {
  headers->Moved(data_, to);
  for (std::string_view* view : {&method_, &target_, &host_}) {
    if (view->data() != nullptr) *view = {to + (view->data() - data_), view->size()};
  }
}

HeadScan::State HeadScan::Scan(absl::Span<char> bytes, const HeadLimits& limits, Headers* headers) {
  if (problem_ != nullptr) return State::kError;
  char* const data = bytes.data();
  if (data_ != data) {
    if (data_ != nullptr) Moved(data, headers);
    data_ = data;
  }
  return Read(data, bytes.size(), limits, headers);
}

// One line of a field, which `end` ends; `name`: what ReadShortName() said of it.
[[gnu::always_inline]] inline HeadScan::Problem HeadScan::Field(char* line, char* end,
                                                                FieldName name,
                                                                const HeadLimits& limits,
                                                                Headers* headers) {
  if (++fields_ > limits.max_headers) return &kTooMany;
  if (name.size == 0) {
    bool odd = false, drop = false;
    name = ReadAnyName(line, end, &odd);
    // No name, a fold or a blank before the name, a blank before the colon, no colon.
    if (name.size == 0 || line + name.size == end || line[name.size] != ':') return &kMalformed;
    if (odd) {
      if (const Problem problem = OddName({line, name.size}, limits, &drop)) return problem;
    }
    if (drop) return nullptr;
  }
  const char* first = line + name.size + 1;
  const char* last = end;
  while (first != last && IsBlank(*first)) ++first;
  while (first != last && IsBlank(last[-1])) --last;
  const std::string_view value(first, static_cast<size_t>(last - first));
  if (Contains(kFramingFields, name.id)) {
    const std::string_view raw(line + name.size + 1,
                               static_cast<size_t>(end - line) - name.size - 1);
    if (name.id == HeaderId::kTransferEncoding) return Coding(raw);
    if (name.id == HeaderId::kContentLength) {
      const bool known = has_length_;
      const Problem problem = Length(raw);
      if (problem != nullptr || known) return problem;
    } else if (side_ == Side::kRequest) {
      ++hosts_;
      host_ = value;
      return nullptr;
    }
  }
  headers->AddKnown(name.id, {line, name.size}, value, Header::kLine);
  return nullptr;
}

// Looks from `from` for the CR LF that ends a line, and returns its CR; nullptr: there is none, and
// `*state` says why.
[[gnu::always_inline]] inline char* HeadScan::EndOfLine(const char* data, char* from, char* end,
                                                        bool at_limit, State* state) {
  char* const control = const_cast<char*>(FindFirst<ControlBytes>(from, end));
  scanned_ = static_cast<size_t>(control - data);
  if (control == end || (*control == '\r' && control + 1 == end)) {
    *state = NeedMore(at_limit);
    return nullptr;
  }
  if (*control != '\r' || control[1] != '\n') {
    *state = Fail(*control == '\n' ? &kMalformed : &kBadBytes);
    return nullptr;
  }
  scanned_ += 2;
  return control;
}

HeadScan::State HeadScan::Read(char* data, size_t size, const HeadLimits& limits,
                               Headers* headers) {
  const bool at_limit = size >= limits.max_bytes;
  if (at_limit) size = limits.max_bytes;
  char* const end = data + size;
  State state = State::kNeedMore;
  Problem problem = nullptr;
  while (!has_start_line_) {
    char* const line = data + line_;
    char* const last = EndOfLine(data, data + scanned_, end, at_limit, &state);
    if (last == nullptr) return state;
    problem = FirstLine(line, static_cast<size_t>(last - line), limits);
    if (problem != nullptr) return Fail(problem);
    line_ = scanned_;
  }
  while (true) {
    char* const line = data + line_;
    FieldName name;
    if (end - line >= 16) name = ReadShortName(line);
    char* const last =
        EndOfLine(data, std::max(data + scanned_, line + name.size), end, at_limit, &state);
    if (last == nullptr) return state;
    if (last == line) return State::kDone;
    problem = Field(line, last, name, limits, headers);
    if (problem != nullptr) return Fail(problem);
    line_ = scanned_;
  }
}

HeadScan::Problem HeadScan::FirstLine(const char* line, size_t size, const HeadLimits& limits) {
  if (size == 0)
    return side_ == Side::kResponse || ++empty_lines_ > kMaxEmptyLines ? &kMalformed : nullptr;
  has_start_line_ = true;
  begin_ = line_;
  return side_ == Side::kRequest ? RequestLine({line, size}, limits) : StatusLine({line, size});
}

HeadScan::Problem HeadScan::RequestLine(std::string_view line, const HeadLimits& limits) {
  size_t first = 0;
  while (first < line.size() && IsTokenByte(line[first])) ++first;
  if (first == 0 || first == line.size() || line[first] != ' ') return &kMalformed;
  const bool usual = line.size() > first + kVersion.size() &&
                     std::memcmp(line.data() + line.size() - kVersion.size(), kVersion.data(),
                                 kVersion.size()) == 0;
  const size_t last = usual ? line.size() - kVersion.size() : line.rfind(' ');
  if (first == last) return &kMalformed;
  Problem bad_version = nullptr;
  if (!usual) {
    const std::string_view version = line.substr(last + 1);
    bad_version = RequestVersion(version, limits.accept_http_10);
    if (bad_version == &kMalformed) return bad_version;
    is_http_10_ = version == "HTTP/1.0";
  }
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.empty()) return &kMalformed;
  if (const Problem problem = CheckTarget(target, &has_fragment_))
    return bad_version != nullptr ? bad_version : problem;
  method_ = line.substr(0, first);
  target_ = target;
  return bad_version;
}

HeadScan::Problem HeadScan::StatusLine(std::string_view line) {
  // "HTTP/1.1 200" without a blank behind it is common and cannot be misread.
  if (line.size() < 12 || std::memcmp(line.data(), "HTTP/1.", 7) != 0 ||
      (line[7] != '1' && line[7] != '0') || line[8] != ' ')
    return &kMalformed;
  is_http_10_ = line[7] == '0';
  if (line[9] < '1' || line[9] > '9' || !IsDigit(line[10]) || !IsDigit(line[11]))
    return &kMalformed;
  status_ = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  return line.size() == 12 || line[12] == ' ' ? nullptr : &kMalformed;
}

// A name with an underscore: refused, left out, or let through.
HeadScan::Problem HeadScan::OddName(std::string_view name, const HeadLimits& limits,
                                    bool* drop) const {
  if (limits.underscores == HeadLimits::kReject || ImitatesFraming(name)) return &kUnderscore;
  *drop = limits.underscores == HeadLimits::kDrop;
  if (*drop) limits.dropped.Add();
  return nullptr;
}

HeadScan::Problem HeadScan::Length(std::string_view raw) {
  std::string_view value = Trim(raw);
  if (side_ == Side::kRequest) {
    // A client that pads a length with more than blanks before it is up to something.
    value = raw;
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  }
  const auto length = value.size() <= 19 ? ParseDecimal<int64_t>(value) : std::nullopt;
  if (!length.has_value()) return &kMalformed;
  if (has_coding_) return &kBothLengths;
  if (has_length_ && length_ != static_cast<uint64_t>(*length)) return &kMalformed;
  has_length_ = true;
  length_ = static_cast<uint64_t>(*length);
  return nullptr;
}

HeadScan::Problem HeadScan::Coding(std::string_view raw) {
  const std::string_view value = Trim(raw);
  if (!EqualsIgnoreCase(value, "chunked")) return ClassifyCoding(value);
  if (side_ == Side::kRequest && raw.find('\t') != std::string_view::npos) return &kBadCoding;
  if (side_ == Side::kRequest && raw.back() == ' ') return &kBadCoding;
  if (is_http_10_ || has_coding_) return &kBadCoding;
  if (has_length_) return &kBothLengths;
  has_coding_ = true;
  return nullptr;
}

}  // namespace sluice
