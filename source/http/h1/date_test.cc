// The Date field's value. Test thread only.
#include <catch2/catch.hpp>

#include "source/http/h1/date.h"

namespace sluice {
namespace {

TEST_CASE("dates") {
  auto at = [](int64_t second) { return std::string(HttpDate(WallClock::from_time_t(second))); };
  CHECK(at(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(at(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(at(1709164800) == "Thu, 29 Feb 2024 00:00:00 GMT");
  CHECK(HttpDate(WallClock::from_time_t(7) + std::chrono::milliseconds(999)) ==
        "Thu, 01 Jan 1970 00:00:07 GMT");
  CHECK(HttpDate().size() == 29);
}

}  // namespace
}  // namespace sluice
