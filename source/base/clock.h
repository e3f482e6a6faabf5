// Time: the steady clock that deadlines use and the wall clock that people read. Any thread.
#pragma once

#include <chrono>

namespace sluice {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;
using WallClock = std::chrono::system_clock;
using WallTime = WallClock::time_point;

/// While one lives, its thread reads the clock at most once: Now() is when the turn first asked.
/// For the loop of a thread, around whatever it resumes: a request asks a dozen times, and a turn
/// is over in microseconds.
class ClockTurn {
 public:
  ClockTurn() { state_ = State::kUnread; }
  ~ClockTurn() { state_ = State::kNoTurn; }
  ClockTurn(const ClockTurn&) = delete;

 private:
  friend TimePoint Now();
  enum class State : unsigned char { kNoTurn, kUnread, kRead };
  static inline constinit thread_local State state_ = State::kNoTurn;
  static inline constinit thread_local TimePoint now_{};
};

/// The time; inside a ClockTurn, that of the turn.
inline TimePoint Now() {
  if (ClockTurn::state_ == ClockTurn::State::kRead) return ClockTurn::now_;
  const TimePoint now = Clock::now();
  if (ClockTurn::state_ == ClockTurn::State::kUnread) {
    ClockTurn::now_ = now;
    ClockTurn::state_ = ClockTurn::State::kRead;
  }
  return now;
}

inline WallTime WallNow() {
  return WallClock::now();
}

/// Whole milliseconds of a duration, rounded down.
inline int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace sluice
