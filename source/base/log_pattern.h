// LogPattern: the format of the process log's lines, spdlog's pattern language. A value, immutable
// once parsed: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "source/base/clock.h"
#include "source/base/log.h"

namespace sluice {

/// What a line is made from.
struct LogRecord {
  WallTime time{};
  LogLevel level = LogLevel::kInfo;
  std::string_view component;
  std::string_view file;
  int line = 0;
  long thread = 0;
  std::string_view text;
};

class LogPattern {
 public:
  /// Flags: %v text, %_ text in one line (C escapes), %j text escaped for a JSON string, %n
  /// component, %l level, %L its first letter, %t thread, %P process, %g file, %s its last part, %#
  /// line, %@ file:line, %% percent; the local time with %Y %C %y %m %d %b %h %B %a %A %H %I %M %S
  /// %p %c %D %x %r %R %T %X as strftime has them but for %C, the year in two digits; %z +02:00, %e
  /// milliseconds, %f microseconds, %F nanoseconds, %E seconds of the epoch; %^ and %$, where a
  /// terminal's colours begin and end, print nothing. %8l pads on the left to 8, %-8l on the right,
  /// %=8l on both sides (at most 64); %8!l also cuts to it. InvalidArgument for any other flag.
  /// `escape`: %v means %_.
  static absl::StatusOr<LogPattern> Parse(std::string_view pattern, bool escape);

  /// Appends the line, without a newline.
  void Append(const LogRecord& record, std::string* out) const;

 private:
  struct Piece {
    char flag = 0;  // 0: literal
    std::string literal;
    size_t width = 0;
    char align = 0;  // 0: none; '>' pads on the left, '<' on the right, '='
    bool cut = false;
  };
  static bool ParseWidth(std::string_view* rest, Piece* piece);
  static void AppendPiece(const Piece& piece, const LogRecord& record, const tm& local,
                          std::string* out);

  std::vector<Piece> pieces_;
};

}  // namespace sluice
