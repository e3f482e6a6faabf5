// A worker's timers: a hierarchical wheel with a tick of 8 ms, so that arming, re-arming and
// disarming a timeout per request is a few loads and stores. Belongs to one worker; no other thread
// touches it.
#pragma once

#include <array>
#include <cstdint>

#include <boost/asio/steady_timer.hpp>

#include "source/async/asio.h"
#include "source/base/clock.h"
#include "source/base/linked.h"

namespace sluice {

class TimerWheel;

/// A timeout that is embedded in its owner. Disarms itself when destroyed. May be re-armed from
/// inside OnTimer.
class Timer : public Linked<Timer> {
 public:
  virtual ~Timer() = default;

  void Disarm() { Unlink(); }

 protected:
  /// Called on the wheel's thread, disarmed, not before the deadline and at most about two ticks
  /// after it.
  virtual void OnTimer() = 0;

  /// Called on the wheel's thread, armed, by TimerWheel::Review(). May re-arm and Move() this
  /// timer, and touches no other.
  virtual void OnReview() {}

 private:
  friend class TimerWheel;
  int64_t tick_ = 0;
};

class TimerWheel {
 public:
  static constexpr int64_t kTickMs = 8;

  explicit TimerWheel(asio::io_context& io);
  ~TimerWheel();

  /// Arms (or re-arms) `timer` to fire after `delay`; a negative delay counts as zero. O(1), and
  /// cheapest for an armed timer that shall fire later: a timeout that begins anew again and again
  /// stays armed meanwhile.
  void Arm(Timer& timer, Duration delay);

  /// Has `timer`, which was armed for `from`, fire as if it had been armed for `to` then. In whole
  /// ticks, so that it may be moved there and back as often as need be.
  void Move(Timer& timer, Duration from, Duration to);

  /// Asks every armed timer whether its time has changed. O(timers).
  void Review();

  /// Stops waking up; armed timers stay linked and never fire.
  void Stop();

 private:
  static constexpr int kLevels = 5;  // 64^5 ticks are 99 days; longer delays are cut to that.
  static constexpr int kSlotBits = 6;
  static constexpr int64_t kSlots = 1 << kSlotBits;

  int64_t TickAt(TimePoint time) const;
  void Link(Timer& timer);
  void Schedule();
  void Advance(int64_t to);
  void Collect(int level, int64_t slot, Timer** due);
  int64_t NextOccupied() const;

  // State of the wheel's thread.
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> wakeup_;
  const TimePoint start_;
  int64_t now_ = 0;                // The last tick that was served.
  int64_t scheduled_ = INT64_MAX;  // The tick for which wakeup_ is set.
  bool stopped_ = false;
  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
};

}  // namespace sluice
