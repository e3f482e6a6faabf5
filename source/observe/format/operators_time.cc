// Operators that print points in time and durations. Stateless, any thread.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "source/base/strings.h"
#include "source/observe/format/formatter.h"
#include "source/observe/format/operators.h"

namespace sluice::format_internal {
namespace {

constexpr std::string_view kDefaultFormat = "%Y-%m-%dT%H:%M:%E3SZ";
constexpr std::string_view kDefaultLocalFormat = "%Y-%m-%dT%H:%M:%E3S%z";

// strftime's conversions without those that depend on a locale's alternatives.
constexpr std::string_view kConversions = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyYzZ%";

// How many digits a fraction of a second may have.
bool IsPrecision(char c) {
  return c >= '1' && c <= '9';
}

void AddStrftime(std::string_view text, std::vector<TimePiece>* pieces) {
  if (pieces->empty() || pieces->back().kind != TimePiece::Kind::kStrftime) {
    pieces->push_back({TimePiece::Kind::kStrftime, "", 0});
  }
  pieces->back().format.append(text);
}

// strftime's conversions plus %f, %3f (fractions of a second), %s (epoch seconds) and %E3S (seconds
// with a fraction).
absl::Status ParseTimeFormat(std::string_view format, std::vector<TimePiece>* pieces) {
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      AddStrftime(format.substr(i, 1), pieces);
      continue;
    }
    const std::string_view rest = format.substr(i + 1);
    if (!rest.empty() && rest[0] == 'f') {
      pieces->push_back({TimePiece::Kind::kFraction, "", 9});
      i += 1;
    } else if (rest.size() > 1 && IsPrecision(rest[0]) && rest[1] == 'f') {
      pieces->push_back({TimePiece::Kind::kFraction, "", rest[0] - '0'});
      i += 2;
    } else if (!rest.empty() && rest[0] == 's') {
      pieces->push_back({TimePiece::Kind::kEpochSeconds, "", 0});
      i += 1;
    } else if (rest.size() > 2 && rest[0] == 'E' && IsPrecision(rest[1]) && rest[2] == 'S') {
      AddStrftime("%S.", pieces);
      pieces->push_back({TimePiece::Kind::kFraction, "", rest[1] - '0'});
      i += 3;
    } else if (!rest.empty() && kConversions.find(rest[0]) != std::string_view::npos) {
      AddStrftime(format.substr(i, 2), pieces);
      i += 1;
    } else {
      return Invalid("the time format '", format, "' has an unknown conversion at '",
                     format.substr(i), "'");
    }
  }
  return absl::OkStatus();
}

absl::Status CompileTime(const std::string_view* argument, std::string_view otherwise,
                         Operator* op) {
  op->option = argument == nullptr || argument->empty();
  return ParseTimeFormat(op->option ? otherwise : *argument, &op->time);
}

absl::Status CompileUtc(const std::string_view* argument, Operator* op) {
  return CompileTime(argument, kDefaultFormat, op);
}

absl::Status CompileLocal(const std::string_view* argument, Operator* op) {
  return CompileTime(argument, kDefaultLocalFormat, op);
}

void AppendPadded(int64_t value, int width, std::string* out) {
  char digits[20];
  char* end = digits + sizeof(digits);
  char* begin = end;
  while (begin > digits && (value != 0 || end - begin < width)) {
    *--begin = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out->append(begin, static_cast<size_t>(end - begin));
}

// gmtime_r without libc's lock on the time zone, which all workers would share.
std::tm UtcTime(int64_t seconds) {
  using namespace std::chrono;
  const sys_days day{floor<days>(sys_seconds{std::chrono::seconds(seconds)})};
  const year_month_day date{day};
  const int64_t of_day = seconds - int64_t{86400} * day.time_since_epoch().count();
  std::tm time{};
  time.tm_year = static_cast<int>(date.year()) - 1900;
  time.tm_mon = static_cast<int>(static_cast<unsigned>(date.month())) - 1;
  time.tm_mday = static_cast<int>(static_cast<unsigned>(date.day()));
  time.tm_hour = static_cast<int>(of_day / 3600);
  time.tm_min = static_cast<int>(of_day / 60 % 60);
  time.tm_sec = static_cast<int>(of_day % 60);
  time.tm_wday = static_cast<int>(weekday{day}.c_encoding());
  time.tm_yday = static_cast<int>((day - sys_days{date.year() / January / 1}).count());
  time.tm_zone = "UTC";
  return time;
}

void AppendIso(const std::tm& time, std::string* out) {
  AppendPadded(time.tm_year + 1900, 4, out);
  out->push_back('-');
  AppendPadded(time.tm_mon + 1, 2, out);
  out->push_back('-');
  AppendPadded(time.tm_mday, 2, out);
  out->push_back('T');
  AppendPadded(time.tm_hour, 2, out);
  out->push_back(':');
  AppendPadded(time.tm_min, 2, out);
  out->push_back(':');
  AppendPadded(time.tm_sec, 2, out);
  out->push_back('.');
}

// "2026-11-23T08:10:40." of a second: most lines are of the same second as the one before.
const std::string& IsoSecond(int64_t second) {
  thread_local std::string text;
  thread_local int64_t of = -1;
  if (second != of) {
    text.clear();
    AppendIso(UtcTime(second), &text);
    of = second;
  }
  return text;
}

// localtime_r takes libc's lock on the time zone: once a second is enough.
std::tm LocalTime(int64_t second) {
  thread_local std::tm time;
  thread_local int64_t of = -1;
  if (second != of) {
    const time_t t = second;
    localtime_r(&t, &time);
    of = second;
  }
  return time;
}

Rendered AppendTime(const Operator& op, WallTime when, bool local, std::string* out) {
  const int64_t nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
  if (nanoseconds <= 0) {
    return Rendered::kMissing;
  }
  const int64_t seconds = nanoseconds / 1'000'000'000;
  const int64_t fraction = nanoseconds % 1'000'000'000;
  if (!local && op.option != 0) {
    out->append(IsoSecond(seconds));
    AppendPadded(fraction / 1'000'000, 3, out);
    out->push_back('Z');
    return Rendered::kString;
  }
  const std::tm time = local ? LocalTime(seconds) : UtcTime(seconds);
  char text[512];
  for (const TimePiece& piece : op.time) {
    if (piece.kind == TimePiece::Kind::kStrftime) {
      out->append(text, strftime(text, sizeof(text), piece.format.c_str(), &time));
    } else if (piece.kind == TimePiece::Kind::kEpochSeconds) {
      AppendPadded(seconds, 1, out);
    } else {
      int64_t value = fraction;
      for (int i = piece.digits; i < 9; ++i) {
        value /= 10;
      }
      AppendPadded(value, piece.digits, out);
    }
  }
  return Rendered::kString;
}

Rendered StartTime(const Operator& op, const LogContext& context, std::string* out) {
  return AppendTime(op, context.exchange.time.wall_start, false, out);
}

Rendered StartTimeLocal(const Operator& op, const LogContext& context, std::string* out) {
  return AppendTime(op, context.exchange.time.wall_start, true, out);
}

Rendered EmitTime(const Operator& op, const LogContext&, std::string* out) {
  return AppendTime(op, WallNow(), false, out);
}

Rendered EmitTimeLocal(const Operator& op, const LogContext&, std::string* out) {
  return AppendTime(op, WallNow(), true, out);
}

Rendered AppendBetween(TimePoint begin, TimePoint end, int64_t unit, std::string* out) {
  if (begin == TimePoint{} || end == TimePoint{} || end < begin) {
    return Rendered::kMissing;
  }
  const int64_t nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count();
  return AppendNumber(static_cast<uint64_t>(nanoseconds / unit), out);
}

constexpr int64_t kMillisecond = 1'000'000;

Rendered Total(const Operator&, const LogContext& context, std::string* out) {
  const TimePoint start = context.exchange.time.start;
  return AppendBetween(start, start + TotalDuration(context.exchange), kMillisecond, out);
}

template <TimePoint TimeMeter::* kBegin, TimePoint TimeMeter::* kEnd>
Rendered Between(const Operator&, const LogContext& context, std::string* out) {
  return AppendBetween(context.exchange.time.*kBegin, context.exchange.time.*kEnd, kMillisecond,
                       out);
}

Rendered PoolWait(const Operator&, const LogContext& context, std::string* out) {
  const Duration wait = context.exchange.upstream.pool_wait;
  if (wait < Duration::zero()) return Rendered::kMissing;
  return AppendNumber(static_cast<uint64_t>(wait / std::chrono::milliseconds(1)), out);
}

struct Point {
  std::string_view name;
  TimePoint (*of)(const Exchange& exchange);
};

template <TimePoint TimeMeter::* kTime>
TimePoint Of(const Exchange& exchange) {
  return exchange.time.*kTime;
}
TimePoint Opened(const Exchange& exchange) {
  return exchange.connection().opened;
}
// The end of a handshake with an upstream is one of TLS, which is never spoken there.
TimePoint Never(const Exchange&) {
  return TimePoint{};
}

constexpr Point kPoints[] = {
    {"DS_CX_BEG", Opened},
    {"DS_CX_END", Of<&TimeMeter::connection_closed>},
    {"DS_RX_BEG", Of<&TimeMeter::start>},
    {"DS_RX_END", Of<&TimeMeter::request_received>},
    {"US_CX_BEG", Of<&TimeMeter::upstream_connecting>},
    {"US_CX_END", Of<&TimeMeter::upstream_connected>},
    {"US_HS_END", Never},
    {"US_TX_BEG", Of<&TimeMeter::upstream_first_sent>},
    {"US_TX_END", Of<&TimeMeter::upstream_last_sent>},
    {"US_RX_BEG", Of<&TimeMeter::upstream_first_received>},
    {"US_RX_BODY_BEG", Of<&TimeMeter::upstream_body_received>},
    {"US_RX_END", Of<&TimeMeter::upstream_last_received>},
    {"DS_TX_BEG", Of<&TimeMeter::response_first_sent>},
    {"DS_TX_END", Of<&TimeMeter::response_last_sent>},
    {"envoy.dynamic_forward_proxy.dns_start_ms", Of<&TimeMeter::look_up_started>},
    {"envoy.dynamic_forward_proxy.dns_end_ms", Of<&TimeMeter::look_up_ended>},
};

absl::StatusOr<int> FindPoint(std::string_view name) {
  std::string names;
  for (size_t i = 0; i < std::size(kPoints); ++i) {
    if (kPoints[i].name == name) return static_cast<int>(i);
    AppendTo(&names, i == 0 ? "" : ", ", kPoints[i].name);
  }
  return Invalid("'", name, "' is no point in time that is measured (", names, ")");
}

// BEGIN:END or BEGIN:END:ms|us|ns.
absl::Status CompileCommonDuration(const std::string_view* argument, Operator* op) {
  constexpr std::string_view kUsage = "takes (BEGIN:END) or (BEGIN:END:ms|us|ns)";
  if (argument == nullptr) {
    return Invalid(kUsage);
  }
  const size_t first = argument->find(':');
  if (first == std::string_view::npos) {
    return Invalid(kUsage);
  }
  const size_t second = std::min(argument->find(':', first + 1), argument->size());
  const absl::StatusOr<int> begin = FindPoint(argument->substr(0, first));
  if (!begin.ok()) {
    return begin.status();
  }
  const absl::StatusOr<int> end = FindPoint(argument->substr(first + 1, second - first - 1));
  if (!end.ok()) {
    return end.status();
  }
  op->option = *begin;
  op->option2 = *end;
  const std::string_view unit = second == argument->size() ? "ms" : argument->substr(second + 1);
  if (unit != "ms" && unit != "us" && unit != "ns") {
    return Invalid(kUsage);
  }
  op->text = unit;
  return absl::OkStatus();
}

Rendered CommonDuration(const Operator& op, const LogContext& context, std::string* out) {
  const int64_t unit = op.text == "ms" ? kMillisecond : op.text == "us" ? 1000 : 1;
  return AppendBetween(kPoints[op.option].of(context.exchange),
                       kPoints[op.option2].of(context.exchange), unit, out);
}

Rendered NoTime(const Operator&, const LogContext&, std::string*) {
  return Rendered::kMissing;
}

}  // namespace

absl::Span<const OperatorType> TimeOperators() {
  using T = TimeMeter;
  static constexpr OperatorType kOperators[] = {
      {"START_TIME", CompileUtc, StartTime, true},
      {"START_TIME_LOCAL", CompileLocal, StartTimeLocal, true},
      {"EMIT_TIME", CompileUtc, EmitTime, true},
      {"EMIT_TIME_LOCAL", CompileLocal, EmitTimeLocal, true},
      // Of TLS, so never there.
      {"DOWNSTREAM_PEER_CERT_V_END", CompileUtc, NoTime, true},
      {"DOWNSTREAM_PEER_CERT_V_START", CompileUtc, NoTime, true},
      {"UPSTREAM_PEER_CERT_V_END", CompileUtc, NoTime, true},
      {"UPSTREAM_PEER_CERT_V_START", CompileUtc, NoTime, true},
      {"DURATION", nullptr, Total, false},
      {"REQUEST_DURATION", nullptr, Between<&T::start, &T::request_received>, false},
      {"REQUEST_TX_DURATION", nullptr, Between<&T::start, &T::upstream_last_sent>, false},
      {"RESPONSE_DURATION", nullptr, Between<&T::start, &T::upstream_first_received>, false},
      {"RESPONSE_TX_DURATION", nullptr,
       Between<&T::upstream_first_received, &T::response_last_sent>, false},
      {"UPSTREAM_CONNECTION_POOL_READY_DURATION", nullptr, PoolWait, false},
      {"COMMON_DURATION", CompileCommonDuration, CommonDuration, false},
  };
  return kOperators;
}

}  // namespace sluice::format_internal

namespace sluice {

// A tunnel lasts until it is logged: its last byte to the client may have come long before.
Duration TotalDuration(const Exchange& exchange) {
  const TimeMeter& time = exchange.time;
  if (time.start == TimePoint{}) {
    return Duration::zero();
  }
  const bool complete = time.response_last_sent != TimePoint{} && !exchange.tunnel_established;
  return (complete ? time.response_last_sent : Now()) - time.start;
}

}  // namespace sluice
