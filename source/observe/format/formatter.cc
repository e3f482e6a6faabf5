// The parser of format strings and the loop that renders them. Immutable after creation, any
// thread.
#include "source/observe/format/formatter.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

#include "source/base/strings.h"
#include "source/observe/format/json_string.h"
#include "source/observe/format/operators.h"

namespace sluice {

using format_internal::Operator;
using format_internal::Rendered;
using Mode = format_internal::Operator::Mode;

const std::string_view kDefaultLogFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    "\"%REQ(X-FORWARDED-FOR)%\" "
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

namespace {

constexpr int kMaxJsonDepth = 32;

void AddLiteral(std::string_view text, std::vector<Operator>* list) {
  if (text.empty()) {
    return;
  }
  if (list->empty() || list->back().mode != Mode::kLiteral) {
    list->emplace_back();
  }
  list->back().text.append(text);
}

bool IsOperatorByte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Reads the operator that starts at format[*position], a '%', and moves behind it.
absl::StatusOr<Operator> ParseOperator(std::string_view format, size_t* position) {
  const size_t start = *position;
  const auto error = [&](const auto&... what) {
    return Invalid("position ", start, ": ", what...);
  };
  size_t i = start + 1;
  while (i < format.size() && IsOperatorByte(format[i])) {
    ++i;
  }
  const std::string_view name = format.substr(start + 1, i - start - 1);
  if (name.empty()) {
    return error("a '%' that starts no operator (write %% for a percent sign)");
  }
  std::string_view argument;
  const bool has_argument = i < format.size() && format[i] == '(';
  if (has_argument) {
    const size_t end = format.find(')', i);
    if (end == std::string_view::npos) {
      return error("%", name, "%: no ')'");
    }
    argument = format.substr(i + 1, end - i - 1);
    i = end + 1;
  }
  int length = -1;
  if (i < format.size() && format[i] == ':') {
    const size_t end = std::min(format.find('%', i), format.size());
    const auto number = ParseDecimal<uint16_t>(format.substr(i + 1, end - i - 1));
    if (!number.has_value()) {
      return error("%", name, "%: the length behind ':' must be a number from 0 to 65535");
    }
    length = *number;
    i = end;
  }
  if (i >= format.size() || format[i] != '%') {
    return error("%", name, "%: no '%' at its end");
  }
  *position = i + 1;
  absl::StatusOr<Operator> op =
      format_internal::CompileOperator(name, has_argument ? &argument : nullptr, length);
  return op.ok() ? std::move(op) : error("%", name, "%: ", op.status().message());
}

// Splits `format` into literals and operators, all of them with `mode`.
absl::Status ParseText(std::string_view format, Mode mode, std::vector<Operator>* list) {
  size_t i = 0;
  while (i < format.size()) {
    const size_t percent = std::min(format.find('%', i), format.size());
    AddLiteral(format.substr(i, percent - i), list);
    i = percent;
    if (i == format.size()) {
      break;
    }
    if (i + 1 < format.size() && format[i + 1] == '%') {
      AddLiteral("%", list);
      i += 2;
      continue;
    }
    absl::StatusOr<Operator> op = ParseOperator(format, &i);
    if (!op.ok()) {
      return op.status();
    }
    op->mode = mode;
    list->push_back(*std::move(op));
  }
  return absl::OkStatus();
}

absl::Status ParseJsonString(const std::string& text, std::vector<Operator>* list) {
  std::vector<Operator> parts;
  if (const absl::Status status = ParseText(text, Mode::kJsonFragment, &parts); !status.ok()) {
    return status;
  }
  if (parts.size() == 1 && parts[0].mode == Mode::kJsonFragment) {
    parts[0].mode = Mode::kJsonValue;
    list->push_back(std::move(parts[0]));
    return absl::OkStatus();
  }
  AddLiteral("\"", list);
  for (Operator& part : parts) {
    if (part.mode == Mode::kLiteral) {
      std::string quoted;
      AppendJsonString(part.text, &quoted);
      AddLiteral(std::string_view(quoted).substr(1, quoted.size() - 2), list);
    } else {
      list->push_back(std::move(part));
    }
  }
  AddLiteral("\"", list);
  return absl::OkStatus();
}

void AddKey(std::string_view key_and_colon, std::vector<Operator>* list) {
  list->emplace_back().mode = Mode::kJsonKey;
  list->back().text = key_and_colon;
}

std::string JsonNumber(double value) {
  char text[32];
  if (value == std::floor(value) && std::fabs(value) < 1e15) {
    return std::string(text,
                       std::to_chars(text, text + sizeof(text), static_cast<int64_t>(value)).ptr);
  }
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

// The error with the path to its place: `step` is ".key" or "[0]".
absl::Status Below(const std::string& step, const absl::Status& error) {
  const bool nested = error.message()[0] == '.' || error.message()[0] == '[';
  return Invalid(step, nested ? "" : ": ", error.message());
}

bool IsNull(const google::protobuf::Value& value) {
  using google::protobuf::Value;
  return value.kind_case() == Value::kNullValue || value.kind_case() == Value::KIND_NOT_SET;
}

absl::Status ParseJsonObject(const google::protobuf::Struct& object,
                             const Formatter::Options& options, int depth,
                             std::vector<Operator>* list);

absl::Status ParseJsonValue(const google::protobuf::Value& value, const Formatter::Options& options,
                            int depth, std::vector<Operator>* list) {
  using google::protobuf::Value;
  if (depth > kMaxJsonDepth) {
    return Invalid("nested deeper than ", kMaxJsonDepth, " levels");
  }
  switch (value.kind_case()) {
    case Value::kStringValue:
      return ParseJsonString(value.string_value(), list);
    case Value::kNumberValue:
      AddLiteral(JsonNumber(value.number_value()), list);
      return absl::OkStatus();
    case Value::kBoolValue:
      AddLiteral(value.bool_value() ? "true" : "false", list);
      return absl::OkStatus();
    case Value::kStructValue:
      return ParseJsonObject(value.struct_value(), options, depth + 1, list);
    case Value::kListValue: {
      AddLiteral("[", list);
      int index = -1;
      for (const Value& item : value.list_value().values()) {
        ++index;
        if (options.omit_empty_values && IsNull(item)) continue;
        AddKey("", list);
        if (const absl::Status status = ParseJsonValue(item, options, depth + 1, list);
            !status.ok()) {
          return Below(Cat("[", index, "]"), status);
        }
      }
      AddLiteral("]", list);
      return absl::OkStatus();
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  AddLiteral("null", list);
  return absl::OkStatus();
}

absl::Status ParseJsonObject(const google::protobuf::Struct& object,
                             const Formatter::Options& options, int depth,
                             std::vector<Operator>* list) {
  // A protobuf map has no order of its own; a log needs one that stays.
  std::map<std::string_view, const google::protobuf::Value*> sorted;
  for (const auto& [key, value] : object.fields()) {
    if (!options.omit_empty_values || !IsNull(value)) sorted.emplace(key, &value);
  }
  // One that stays empty leaves with its key.
  const bool may_leave = options.omit_empty_values && depth > 0;
  if (may_leave) {
    list->emplace_back().mode = Mode::kJsonOpen;
  } else {
    AddLiteral("{", list);
  }
  for (const auto& [key, value] : sorted) {
    std::string quoted;
    AppendJsonString(key, &quoted);
    AddKey(Cat(quoted, ":"), list);
    if (const absl::Status status = ParseJsonValue(*value, options, depth, list); !status.ok()) {
      return Below(Cat(".", key), status);
    }
  }
  if (may_leave) {
    list->emplace_back().mode = Mode::kJsonClose;
  } else {
    AddLiteral("}", list);
  }
  return absl::OkStatus();
}

// By Escaping: the bytes that may not stay.
constexpr std::array<bool, 256> Marked(bool quotes) {
  std::array<bool, 256> marked{};
  for (int i = 0; i < 0x20; ++i) {
    marked[i] = true;
  }
  marked[0x7f] = true;
  marked['"'] = quotes;
  marked['\\'] = quotes;
  return marked;
}
constexpr std::array<bool, 256> kControls = Marked(false);
constexpr std::array<bool, 256> kControlsAndQuotes = Marked(true);

#if defined(__SSE2__)
// One bit for each of the sixteen bytes at `at` that MayHaveMarked looks for, the first byte's
// lowest.
unsigned MarkedMask(const char* at) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const auto is = [&](char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); };
  const __m128i low_or_high = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
  const __m128i marked =
      _mm_or_si128(_mm_or_si128(low_or_high, is(0x7f)), _mm_or_si128(is('"'), is('\\')));
  return static_cast<unsigned>(_mm_movemask_epi8(marked));
}
#endif

// Whether any byte from `start` on is a control byte, DEL, a quote or a backslash, or has its high
// bit set. What this finds is looked at byte by byte.
bool MayHaveMarked(std::string_view text, size_t start) {
#if defined(__SSE2__)
  if (text.size() >= 16) {
    unsigned found = 0;
    for (; text.size() - start >= 16; start += 16) found |= MarkedMask(text.data() + start);
    // The last ones together with bytes before them, which do not count.
    const unsigned behind = static_cast<unsigned>(text.size() - start);
    if (behind != 0) found |= MarkedMask(text.data() + text.size() - 16) >> (16 - behind);
    return found != 0;
  }
#endif
  return std::any_of(text.begin() + static_cast<std::ptrdiff_t>(start), text.end(), [](char c) {
    return kControlsAndQuotes[static_cast<uint8_t>(c)] || static_cast<uint8_t>(c) >= 0x80;
  });
}

// Rewrites the end of `out` with JSON's escapes for marked bytes; every other byte stays.
void EscapeText(size_t start, const std::array<bool, 256>& marked, std::string* out) {
  if (!MayHaveMarked(*out, start)) return;
  const std::string value = out->substr(start);
  out->resize(start);
  std::string quoted;
  for (const char c : value) {
    if (!marked[static_cast<uint8_t>(c)]) {
      out->push_back(c);
      continue;
    }
    quoted.clear();
    AppendJsonString({&c, 1}, &quoted);
    out->append(quoted, 1, quoted.size() - 2);
  }
}

// Makes the end of `out` a JSON string, or the inside of one.
void EscapeJson(size_t start, bool quotes, std::string* out) {
  const std::string_view value = std::string_view(*out).substr(start);
  if (!MayHaveMarked(*out, start)) {
    if (quotes) {
      out->insert(start, 1, '"');
      out->push_back('"');
    }
    return;
  }
  std::string quoted;
  AppendJsonString(value, &quoted);
  out->resize(start);
  out->append(quoted, quotes ? 0 : 1, quotes ? quoted.size() : quoted.size() - 2);
}

void Truncate(size_t start, int max_length, std::string* out) {
  if (max_length >= 0 && out->size() - start > static_cast<size_t>(max_length)) {
    out->resize(start + static_cast<size_t>(max_length));
  }
}

void Finish(const Operator& op, Rendered rendered, size_t start, const Formatter::Options& options,
            std::string* out) {
  if (rendered == Rendered::kMissing) {
    out->resize(start);
    out->append(options.omit_empty_values ? "" : "-");
    return;
  }
  Truncate(start, op.max_length, out);
  if (op.mode == Mode::kJsonFragment) {
    EscapeJson(start, false, out);
  } else if (rendered == Rendered::kString && options.escaping != Formatter::Escaping::kNone) {
    EscapeText(start,
               options.escaping == Formatter::Escaping::kLogLine ? kControlsAndQuotes : kControls,
               out);
  }
}

}  // namespace

Formatter::Formatter() = default;
Formatter::Formatter(Formatter&&) noexcept = default;
Formatter& Formatter::operator=(Formatter&&) noexcept = default;
Formatter::~Formatter() = default;

absl::StatusOr<Formatter> Formatter::FromText(std::string_view format, Options options) {
  Formatter formatter;
  formatter.options_ = options;
  if (const absl::Status status = ParseText(format, Mode::kText, &formatter.operators_);
      !status.ok()) {
    return status;
  }
  return formatter;
}

absl::StatusOr<Formatter> Formatter::FromJson(const google::protobuf::Struct& format,
                                              Options options) {
  Formatter formatter;
  formatter.options_ = options;
  formatter.is_json_ = true;
  if (const absl::Status status = ParseJsonObject(format, options, 0, &formatter.operators_);
      !status.ok()) {
    return Invalid(Std(status.message()).substr(1));  // without the first dot
  }
  return formatter;
}

void Formatter::Format(const LogContext& context, std::string* out) const {
  size_t key = out->size();                      // where the last JSON key starts
  std::array<size_t, kMaxJsonDepth + 2> opened;  // and those of the objects around it
  size_t depth = 0;
  for (const Operator& op : operators_) {
    const size_t start = out->size();
    switch (op.mode) {
      case Mode::kLiteral:
        out->append(op.text);
        break;
      case Mode::kJsonKey:
        key = start;
        if (out->back() != '{' && out->back() != '[') {
          out->push_back(',');
        }
        out->append(op.text);
        break;
      case Mode::kJsonOpen:
        opened[depth++] = key;
        out->push_back('{');
        break;
      case Mode::kJsonClose:
        --depth;
        if (out->back() == '{') {
          out->resize(opened[depth]);
        } else {
          out->push_back('}');
        }
        break;
      case Mode::kJsonValue: {
        const Rendered rendered = op.render(op, context, out);
        if (rendered == Rendered::kMissing) {
          out->resize(options_.omit_empty_values ? key : start);
          out->append(options_.omit_empty_values ? "" : "null");
        } else if (rendered == Rendered::kString) {
          Truncate(start, op.max_length, out);
          EscapeJson(start, true, out);
        }
        break;
      }
      case Mode::kText:
      case Mode::kJsonFragment:
        Finish(op, op.render(op, context, out), start, options_, out);
        break;
    }
  }
}

}  // namespace sluice
