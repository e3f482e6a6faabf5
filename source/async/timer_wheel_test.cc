// When timers fire: never before their time, also where they were armed again, or by one another.
// One thread.
#include "source/async/timer_wheel.h"

#include <functional>
#include <memory>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// Knows when it is due, and does what it is told when it fires.
class Alarm final : public Timer {
 public:
  Alarm(TimerWheel& wheel, std::function<void(Alarm&)> then)
      : wheel_(wheel), then_(std::move(then)) {}

  void Arm(Duration delay) {
    due_ = Now() + delay;
    wheel_.Arm(*this, delay);
  }
  int fired = 0;

 private:
  void OnTimer() override {
    ++fired;
    CHECK(Now() >= due_);
    CHECK_FALSE(linked());
    then_(*this);
  }

  TimerWheel& wheel_;
  const std::function<void(Alarm&)> then_;
  TimePoint due_{};
};

struct Fixture {
  // Runs until `done`, for ten seconds at most.
  template <class Done>
  void RunUntil(Done done) {
    const TimePoint limit = Now() + std::chrono::seconds(10);
    while (!done() && Now() < limit && io.run_one_for(std::chrono::seconds(1)) > 0) {
    }
    io.restart();
    CHECK(done());
  }
  void RunUntilFired(const Alarm& alarm) {
    RunUntil([&] { return alarm.fired > 0; });
  }

  asio::io_context io;
  TimerWheel wheel{io};
};

void Nothing(Alarm&) {}

TEST_CASE("a timer that is armed again fires at the last time it was given", "[timer_wheel]") {
  struct Row {
    int first, second;  // milliseconds
  };
  const Row rows[] = {{20, 60}, {60, 20}, {0, 40}, {40, 40}, {3'600'000, 30}, {30, 700}};
  for (const Row& row : rows) {
    CAPTURE(row.first, row.second);
    Fixture f;
    Alarm alarm(f.wheel, Nothing);
    alarm.Arm(milliseconds(row.first));
    alarm.Arm(milliseconds(row.second));
    f.RunUntilFired(alarm);
    CHECK(alarm.fired == 1);
  }
}

TEST_CASE("what was put off is no more once it is disarmed, or dead", "[timer_wheel]") {
  Fixture f;
  Alarm last(f.wheel, Nothing), disarmed(f.wheel, Nothing);
  auto dead = std::make_unique<Alarm>(f.wheel, Nothing);
  for (Alarm* alarm : {&disarmed, dead.get()}) {
    alarm->Arm(milliseconds(10));
    alarm->Arm(milliseconds(20));
  }
  disarmed.Disarm();
  dead.reset();
  last.Arm(milliseconds(60));
  f.RunUntilFired(last);
  CHECK(disarmed.fired == 0);
}

TEST_CASE("a due timer that another one puts off fires later", "[timer_wheel]") {
  Fixture f;
  std::vector<std::unique_ptr<Alarm>> alarms;
  // Whichever fires first puts the other one off.
  for (int i = 0; i < 2; ++i) {
    alarms.push_back(std::make_unique<Alarm>(f.wheel, [&alarms, i](Alarm&) {
      Alarm& other = *alarms[static_cast<size_t>(1 - i)];
      if (other.fired == 0) other.Arm(milliseconds(50));
    }));
  }
  for (auto& alarm : alarms) alarm->Arm(milliseconds(10));
  f.RunUntil([&] { return alarms[0]->fired + alarms[1]->fired == 2; });
}

TEST_CASE("timers that arm one another at random never fire early", "[timer_wheel]") {
  Fixture f;
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Alarm>> alarms;
  int fired = 0;
  const auto touch = [&](Alarm&) {
    ++fired;
    for (int i = 0; i < 3; ++i) {
      Alarm& other = *alarms[random() % alarms.size()];
      if (random() % 8 == 0) {
        other.Disarm();
      } else {
        other.Arm(random() % 16 == 0 ? Duration(hours(1)) : Duration(milliseconds(random() % 100)));
      }
    }
  };
  for (int i = 0; i < 200; ++i) alarms.push_back(std::make_unique<Alarm>(f.wheel, touch));
  for (auto& alarm : alarms) alarm->Arm(milliseconds(random() % 100));
  f.RunUntil([&] { return fired > 2000; });
}

}  // namespace
}  // namespace sluice
