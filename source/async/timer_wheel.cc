// The wheel's arithmetic: level L holds the timers whose tick differs from now in digit L (base 64)
// first, as it was when they were linked: one that was put off since is moved on when its slot
// comes. Worker thread only.
#include "source/async/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace sluice {

TimerWheel::TimerWheel(asio::io_context& io) : wakeup_(io), start_(Now()) {}

TimerWheel::~TimerWheel() {
  for (auto& level : slots_) {
    for (Timer*& head : level) {
      while (head != nullptr) head->Disarm();
    }
  }
}

int64_t TimerWheel::TickAt(TimePoint time) const {
  return Milliseconds(time - start_) / kTickMs;
}

void TimerWheel::Arm(Timer& timer, Duration delay) {
  constexpr int64_t kMaxTicks = (int64_t{1} << (kSlotBits * kLevels)) - kSlots;
  const Duration bounded =
      std::clamp<Duration>(delay, Duration::zero(), std::chrono::milliseconds(kMaxTicks * kTickMs));
  const int64_t tick = std::max(TickAt(Now() + bounded), now_) + 1;
  const bool is_later = timer.linked() && tick >= timer.tick_;
  timer.tick_ = tick;
  // It stays where it is: when the wheel comes there it is moved on (see Collect and Advance).
  if (is_later) return;
  timer.Disarm();
  Link(timer);
  if (timer.tick_ < scheduled_) Schedule();
}

void TimerWheel::Move(Timer& timer, Duration from, Duration to) {
  timer.Disarm();
  timer.tick_ += Milliseconds(to) / kTickMs - Milliseconds(from) / kTickMs;
  timer.tick_ = std::max(timer.tick_, now_ + 1);
  Link(timer);
  if (timer.tick_ < scheduled_) Schedule();
}

void TimerWheel::Review() {
  Timer* all = nullptr;
  for (auto& level : slots_) {
    for (Timer*& head : level) {
      while (head != nullptr) {
        Timer& timer = *head;
        timer.Disarm();
        timer.LinkTo(all);
      }
    }
  }
  while (all != nullptr) {
    Timer& timer = *all;
    timer.Disarm();
    Link(timer);
    timer.OnReview();
  }
}

void TimerWheel::Link(Timer& timer) {
  const uint64_t difference = static_cast<uint64_t>(timer.tick_ ^ now_);
  const int level = difference == 0 ? 0 : (std::bit_width(difference) - 1) / kSlotBits;
  const int64_t slot = (timer.tick_ >> (level * kSlotBits)) & (kSlots - 1);
  timer.LinkTo(slots_[std::min(level, kLevels - 1)][slot]);
}

int64_t TimerWheel::NextOccupied() const {
  for (int level = 0; level < kLevels; ++level) {
    const int shift = level * kSlotBits;
    const int64_t base = now_ >> shift;
    for (int64_t step = 1; step <= kSlots; ++step) {
      const int64_t digit = base + step;
      if (slots_[level][digit & (kSlots - 1)] != nullptr) return digit << shift;
      // Digits beyond the end of this level's turn belong to the next level.
      if ((digit & (kSlots - 1)) == kSlots - 1) break;
    }
  }
  return INT64_MAX;
}

void TimerWheel::Schedule() {
  if (stopped_) return;
  const int64_t next = NextOccupied();
  scheduled_ = next;
  if (next == INT64_MAX) return;
  wakeup_.expires_at(start_ + std::chrono::milliseconds(next * kTickMs));
  wakeup_.async_wait([this](ErrorCode error) {
    if (error || stopped_) return;
    Advance(TickAt(Now()));
  });
}

void TimerWheel::Collect(int level, int64_t slot, Timer** due) {
  Timer* list = std::exchange(slots_[level][slot], nullptr);
  Timer::Rehang(list);
  while (list != nullptr) {
    Timer& timer = *list;
    timer.Disarm();
    if (timer.tick_ <= now_) {
      timer.LinkTo(*due);
    } else {
      Link(timer);
    }
  }
}

void TimerWheel::Advance(int64_t to) {
  while (now_ < to) {
    const int64_t next = std::min(NextOccupied(), to);
    const int64_t previous = std::exchange(now_, next);
    Timer* due = nullptr;
    for (int level = kLevels - 1; level >= 0; --level) {
      const int shift = level * kSlotBits;
      if ((previous >> shift) == (now_ >> shift)) continue;
      Collect(level, (now_ >> shift) & (kSlots - 1), &due);
    }
    // A timer's callback may disarm or destroy any other: the list of due timers stays a proper
    // list all the while.
    Timer::Rehang(due);
    while (due != nullptr) {
      Timer& timer = *due;
      timer.Disarm();
      // Another's callback may have armed it again.
      timer.tick_ > now_ ? Link(timer) : timer.OnTimer();
    }
  }
  Schedule();
}

void TimerWheel::Stop() {
  stopped_ = true;
  wakeup_.cancel();
}

}  // namespace sluice
