// The pattern language of the process log.
#include "source/base/log_pattern.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace sluice {
namespace {

std::string Line(std::string_view pattern, std::string_view text = "a\nb", bool escape = false) {
  // A fixed zone, east of Greenwich by half an hour more than five.
  setenv("TZ", "XYZ-5:30", 1);
  tzset();
  const auto parsed = LogPattern::Parse(pattern, escape);
  if (!parsed.ok()) return Cat("error: ", Std(parsed.status().message()));
  // 2026-11-23 03:04:05.007089001 UTC
  const WallTime time =
      WallTime(std::chrono::seconds(1795403045) + std::chrono::nanoseconds(7'089'001));
  std::string line;
  parsed->Append({time, LogLevel::kWarning, "dns", "source/net/dns.cc", 42, 17, text}, &line);
  return line;
}

TEST_CASE("Every flag") {
  struct Row {
    std::string_view pattern, line;
  };
  const Row rows[] = {
      {"[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v",
       "[2026-11-23 08:34:05.007][17][warning][dns] [source/net/dns.cc:42] a\nb"},
      {"%H %M %S %f %F %E", "08 34 05 007089 007089001 1795403045"},
      {"%I %p|%r|%R|%X", "08 AM|08:34:05 AM|08:34|08:34:05"},
      {"%y %C %D %x", "26 26 11/23/26 11/23/26"},
      {"%a %A %b %h %B", "Mon Monday Nov Nov November"},
      {"%c|%z", "Mon Nov 23 08:34:05 2026|+05:30"},
      {"%L %s %@ %%", "W dns.cc source/net/dns.cc:42 %"},
      {"%^%l%$", "warning"},
      {"%_", "a\\nb"},
      {"no flags", "no flags"},
      {"", ""},
      {"[%10l]", "[   warning]"},
      {"[%-10l]", "[warning   ]"},
      {"[%=10l]", "[ warning  ]"},
      {"[%3l]", "[warning]"},
      {"[%3!l]", "[war]"},
      {"[%5!n]", "[  dns]"},
      {"%q", "error: unknown flag at position 0 of '%q'"},
      {"a%", "error: unknown flag at position 1 of 'a%'"},
      {"%99l", "error: bad width at position 0 of '%99l'"},
      {"%-l", "error: bad width at position 0 of '%-l'"},
  };
  for (const Row& row : rows) {
    INFO(row.pattern);
    CHECK(Line(row.pattern) == row.line);
  }
  CHECK(Line("%P") == std::to_string(getpid()));
}

TEST_CASE("Escapes keep a line a line and JSON valid") {
  struct Row {
    std::string_view text, escaped, json;
  };
  const Row rows[] = {
      {"plain", "plain", "plain"},
      {"a\r\n\tb", "a\\r\\n\\tb", "a\\r\\n\\tb"},
      {"say \"x\\y\"", "say \"x\\\\y\"", "say \\\"x\\\\y\\\""},
      {"\x01\x7f", "\\x01\\x7f", "\\u0001\\u007f"},
      {"\xc3\xa4", "\xc3\xa4", "\xc3\xa4"},
      {"\xc3", "\\xc3", "\\ufffd"},
      {"\xff!", "\\xff!", "\\ufffd!"},
  };
  for (const Row& row : rows) {
    INFO(row.escaped);
    CHECK(Line("%_", row.text) == row.escaped);
    CHECK(Line("%j", row.text) == row.json);
    CHECK(Line("%v", row.text) == row.text);
    CHECK(Line("%v", row.text, true) == row.escaped);
  }
}

}  // namespace
}  // namespace sluice
