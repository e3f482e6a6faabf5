// What the functions of strings.h make of odd texts.
#include "source/base/strings.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

TEST_CASE("the port of an authority, and what stands before it", "[strings]") {
  struct Row {
    const char* authority;
    const char* host;
    const char* port;
  };
  const Row rows[] = {
      {"h:80", "h", ":80"},         {"h", "h", ""},         {"", "", ""},       {"h:", "h", ":"},
      {"[::1]:80", "[::1]", ":80"}, {"[::1]", "[::1]", ""}, {"::1", "::1", ""}, {":80", "", ":80"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.authority);
    CHECK(PortOf(row.authority) == row.port);
    CHECK(HostOf(row.authority) == row.host);
  }
}

TEST_CASE("escapes are decoded, and what is none stays", "[strings]") {
  const std::pair<const char*, const char*> rows[] = {
      {"", ""},     {"a%20b", "a b"},   {"%41%4a%4A", "AJJ"}, {"a+b", "a+b"},   {"%", "%"},
      {"%4", "%4"}, {"%2z%41", "%2zA"}, {"%%41", "%A"},       {"100%", "100%"},
  };
  for (const auto& [text, decoded] : rows) {
    CAPTURE(text);
    CHECK(PercentDecode(text) == decoded);
  }
  CHECK(PercentDecode("%00") == std::string(1, '\0'));
}

TEST_CASE("digits", "[strings]") {
  CHECK(HexValue('0') == 0);
  CHECK(HexValue('9') == 9);
  CHECK(HexValue('a') == 10);
  CHECK(HexValue('F') == 15);
  for (const char c : {'g', 'G', '/', ':', '@', '`', ' ', '\0'}) CHECK(HexValue(c) == -1);
  CHECK((IsDigit('0') && IsDigit('9')));
  CHECK_FALSE((IsDigit('/') || IsDigit(':') || IsDigit('a')));
}

}  // namespace
}  // namespace sluice
