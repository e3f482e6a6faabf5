// Timers that become shorter while they run, and the way back. One thread.
#include "source/async/scaled_timer.h"

#include <vector>

#include <catch2/catch.hpp>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// Writes down that it has fired.
class Noted final : public ScaledTimer {
 public:
  Noted(TimerWheel& wheel, const OverloadState& overload, int name, std::vector<int>& fired)
      : ScaledTimer(wheel, overload, OverloadState::kStreamIdle), name_(name), fired_(fired) {}

 private:
  void OnTimer() override { fired_.push_back(name_); }
  const int name_;
  std::vector<int>& fired_;
};

struct Fixture {
  // Runs until so many timers have fired.
  void RunUntil(size_t count) {
    while (fired.size() < count && io.run_one_for(std::chrono::seconds(10)) > 0) {
    }
    io.restart();
  }

  asio::io_context io;
  TimerWheel wheel{io};
  OverloadState overload;
  std::vector<int> fired;
};

TEST_CASE("a timeout lies between what is configured and its floor") {
  OverloadState overload;
  overload.SetFloor(OverloadState::kConnectionIdle, Duration(milliseconds(200)));
  overload.SetFloor(OverloadState::kStreamIdle, 0.1);
  struct Case {
    OverloadState::Timeout timeout;
    double reduction;
    int full, left;
  };
  const Case cases[] = {
      {OverloadState::kConnectionIdle, 0, 1000, 1000},
      {OverloadState::kConnectionIdle, 0.5, 1000, 600},
      {OverloadState::kConnectionIdle, 1, 1000, 200},
      {OverloadState::kConnectionIdle, 1, 100, 100},  // it is shorter than its floor
      {OverloadState::kStreamIdle, 0.5, 1000, 550},
      {OverloadState::kStreamIdle, 1, 1000, 100},
      {OverloadState::kConnectionMax, 1, 1000, 1000},  // not named by the action
      {OverloadState::kStreamIdle, 1, 0, 0},           // no limit
      {OverloadState::kStreamIdle, 1, 5, 1},           // it stays a limit
  };
  for (const Case& each : cases) {
    INFO(int{each.timeout} << " " << each.reduction << " " << each.full);
    overload.ReduceTimeouts(each.reduction);
    const Duration left = overload.Scaled(each.timeout, milliseconds(each.full));
    CHECK(std::chrono::duration<double, std::milli>(left).count() ==
          Approx(each.left).margin(0.05));
  }
}

TEST_CASE("a running timer becomes shorter and has its old time again") {
  Fixture f;
  f.overload.SetFloor(OverloadState::kStreamIdle, Duration(milliseconds(1)));
  Noted soon(f.wheel, f.overload, 1, f.fired), late(f.wheel, f.overload, 2, f.fired);
  late.Start(hours(1));
  for (int i = 0; i < 3; ++i) {
    f.overload.ReduceTimeouts(1);
    f.wheel.Review();
    f.overload.ReduceTimeouts(0);
    f.wheel.Review();
  }
  soon.Start(milliseconds(60));
  f.RunUntil(1);
  CHECK(f.fired == std::vector<int>{1});
  f.overload.ReduceTimeouts(1);
  f.wheel.Review();
  f.RunUntil(2);
  CHECK(f.fired == std::vector<int>{1, 2});
}

TEST_CASE("without a limit nothing is armed") {
  Fixture f;
  f.overload.SetFloor(OverloadState::kStreamIdle, Duration(milliseconds(1)));
  Noted soon(f.wheel, f.overload, 1, f.fired), none(f.wheel, f.overload, 2, f.fired);
  none.Start(hours(1));
  none.Start(Duration::zero());
  CHECK_FALSE(none.linked());
  f.overload.ReduceTimeouts(1);
  f.wheel.Review();
  CHECK_FALSE(none.linked());
  soon.Start(milliseconds(1));
  f.RunUntil(1);
  CHECK(f.fired == std::vector<int>{1});
}

}  // namespace
}  // namespace sluice
