// Formatting a date costs more than looking at the clock. Each thread has its own.
#include "source/http/h1/date.h"

#include <cstdio>
#include <ctime>

namespace sluice {

std::string_view HttpDate(WallTime time) {
  struct Cached {
    time_t second = -1;
    int size = 0;
    char text[64];
  };
  thread_local Cached cached;
  const time_t second = WallClock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  if (second != cached.second || cached.size == 0) {
    // Not strftime: its names follow the locale.
    constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&second, &utc);
    cached.size = std::snprintf(
        cached.text, sizeof(cached.text), "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[utc.tm_wday],
        utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    cached.second = second;
  }
  return {cached.text, static_cast<size_t>(cached.size)};
}

std::string_view HttpDate() {
  return HttpDate(WallNow());
}

}  // namespace sluice
