// The pattern language of the process log. Values, any thread.
#include "source/base/log_pattern.h"

#include <unistd.h>

#include <ctime>

namespace sluice {
namespace {

constexpr std::string_view kFlags = "v_jnlLtPgs#@%YCymdbhBaAHIMSpcDxrRTXzefFE^$";
constexpr size_t kMaxWidth = 64;

// The length of the UTF-8 sequence at the start of `text` (RFC 3629), 0 when there is none. An
// overlong form or a surrogate passes: it only has to survive a JSON parser's decoder, which
// replaces it.
size_t SequenceLength(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = first < 0x80   ? 1
                        : first < 0xC2 ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

void AppendHex(unsigned char c, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  out->push_back(kDigits[c >> 4]);
  out->push_back(kDigits[c & 15]);
}

void AppendEscaped(std::string_view text, bool json, std::string* out) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const char c = text[0];
    if (length == 0) {
      if (json) {
        out->append("\\ufffd");
      } else {
        out->append("\\x");
        AppendHex(static_cast<unsigned char>(c), out);
      }
    } else if (length > 1) {
      out->append(text.substr(0, length));
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out->push_back('\\');
      out->push_back(c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    } else if (c == '\\' || (json && c == '"')) {
      out->push_back('\\');
      out->push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out->append(json ? "\\u00" : "\\x");
      AppendHex(static_cast<unsigned char>(c), out);
    } else {
      out->push_back(c);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

void AppendPadded(uint64_t number, size_t digits, std::string* out) {
  const std::string text = std::to_string(number);
  if (text.size() < digits) out->append(digits - text.size(), '0');
  out->append(text);
}

void AppendTime(const char* format, const tm& local, std::string* out) {
  char buffer[64];
  out->append(buffer, strftime(buffer, sizeof(buffer), format, &local));
}

// The flags of the clock that strftime does not have.
bool AppendFraction(char flag, WallTime time, std::string* out) {
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch());
  const auto nanoseconds = static_cast<uint64_t>(since_epoch.count());
  switch (flag) {
    case 'e':
      AppendPadded(nanoseconds / 1'000'000 % 1'000, 3, out);
      return true;
    case 'f':
      AppendPadded(nanoseconds / 1'000 % 1'000'000, 6, out);
      return true;
    case 'F':
      AppendPadded(nanoseconds % 1'000'000'000, 9, out);
      return true;
    case 'E':
      AppendTo(out, nanoseconds / 1'000'000'000);
      return true;
    default:
      return false;
  }
}

void AppendDate(char flag, const tm& local, std::string* out) {
  if (flag == 'z') {
    std::string offset;
    AppendTime("%z", local, &offset);
    if (offset.size() == 5) offset.insert(3, ":");
    out->append(offset);
    return;
  }
  const char format[] = {'%',
                         flag == 'C'   ? 'y'
                         : flag == 'x' ? 'D'
                         : flag == 'X' ? 'T'
                                       : flag,
                         '\0'};
  AppendTime(flag == 'c'   ? "%a %b %e %H:%M:%S %Y"
             : flag == 'r' ? "%I:%M:%S %p"
                           : format,
             local, out);
}

}  // namespace

bool LogPattern::ParseWidth(std::string_view* rest, Piece* piece) {
  if (rest->starts_with('-') || rest->starts_with('=')) {
    piece->align = rest->front() == '-' ? '<' : '=';
    rest->remove_prefix(1);
  }
  const size_t digits = std::min(rest->find_first_not_of("0123456789"), rest->size());
  if (digits == 0) return piece->align == 0;
  const std::optional<size_t> width = ParseDecimal<size_t>(rest->substr(0, digits));
  if (!width || *width > kMaxWidth) return false;
  piece->width = *width;
  if (piece->align == 0) piece->align = '>';
  rest->remove_prefix(digits);
  if (rest->starts_with('!')) {
    piece->cut = true;
    rest->remove_prefix(1);
  }
  return true;
}

absl::StatusOr<LogPattern> LogPattern::Parse(std::string_view pattern, bool escape) {
  LogPattern parsed;
  std::string_view rest = pattern;
  while (!rest.empty()) {
    Piece piece;
    const size_t percent = rest.find('%');
    if (percent != 0) {
      piece.literal = rest.substr(0, percent);
      rest.remove_prefix(piece.literal.size());
      parsed.pieces_.push_back(std::move(piece));
      continue;
    }
    const size_t position = static_cast<size_t>(rest.data() - pattern.data());
    rest.remove_prefix(1);
    if (!ParseWidth(&rest, &piece))
      return Invalid("bad width at position ", position, " of '", pattern, "'");
    if (rest.empty() || kFlags.find(rest.front()) == kFlags.npos) {
      return Invalid("unknown flag at position ", position, " of '", pattern, "'");
    }
    piece.flag = rest.front();
    if (piece.flag == 'v' && escape) piece.flag = '_';
    rest.remove_prefix(1);
    parsed.pieces_.push_back(std::move(piece));
  }
  return parsed;
}

void LogPattern::AppendPiece(const Piece& piece, const LogRecord& record, const tm& local,
                             std::string* out) {
  switch (piece.flag) {
    case 0:
      out->append(piece.literal);
      return;
    case '%':
      out->push_back('%');
      return;
    case '^':
    case '$':
      return;
    case 'v':
      out->append(record.text);
      return;
    case '_':
      AppendEscaped(record.text, false, out);
      return;
    case 'j':
      AppendEscaped(record.text, true, out);
      return;
    case 'n':
      out->append(record.component);
      return;
    case 'l':
      out->append(ToString(record.level));
      return;
    case 'L':
      out->push_back(static_cast<char>(ToString(record.level)[0] - 'a' + 'A'));
      return;
    case 't':
      AppendTo(out, record.thread);
      return;
    case 'P':
      AppendTo(out, getpid());
      return;
    case 'g':
      out->append(record.file);
      return;
    case 's':
      out->append(record.file.substr(record.file.rfind('/') + 1));
      return;
    case '#':
      AppendTo(out, record.line);
      return;
    case '@':
      AppendTo(out, record.file, ":", record.line);
      return;
    default:
      if (!AppendFraction(piece.flag, record.time, out)) AppendDate(piece.flag, local, out);
  }
}

void LogPattern::Append(const LogRecord& record, std::string* out) const {
  const time_t seconds =
      WallClock::to_time_t(std::chrono::floor<std::chrono::seconds>(record.time));
  tm local{};
  localtime_r(&seconds, &local);
  for (const Piece& piece : pieces_) {
    const size_t start = out->size();
    AppendPiece(piece, record, local, out);
    const size_t size = out->size() - start;
    if (size < piece.width) {
      const size_t missing = piece.width - size;
      const size_t left = piece.align == '>' ? missing : piece.align == '=' ? missing / 2 : 0;
      out->insert(start, left, ' ');
      out->append(missing - left, ' ');
    } else if (piece.cut && size > piece.width) {
      out->resize(start + piece.width);
    }
  }
}

}  // namespace sluice
