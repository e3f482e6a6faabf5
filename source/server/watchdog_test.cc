// The watchdog with short limits, and a loop that is held up until the watchdog has said so.
#include "source/server/watchdog.h"

#include <catch2/catch.hpp>
#include <future>
#include <string>

namespace sluice {
namespace {

using namespace std::chrono_literals;

// Whether the counter gets there in time, and no further; the watchdog counts on its own thread.
bool Reaches(const stats::Store& store, const std::string& name, int64_t value) {
  const TimePoint limit = Now() + 20s;
  while (store.Value(name) < value) {
    if (Now() > limit) return false;
    std::this_thread::yield();
  }
  return store.Value(name) == value;
}

// Waits until the loop of `worker` has come to a function that holds it up until `release`.
void HoldUp(Worker& worker, std::future<void> release) {
  std::promise<void> arrived;
  std::future<void> there = arrived.get_future();
  worker.Post([arrived = std::move(arrived), release = std::move(release)]() mutable {
    arrived.set_value();
    release.wait();
  });
  there.wait();
}

TEST_CASE("a loop that does not turn is counted once, and again the next time") {
  stats::Store store;
  Worker worker(0, 1);
  Watchdog watchdog(store.Root(), {.miss = 250ms, .mega_miss = 750ms});
  watchdog.Watch(worker);
  worker.Start();
  watchdog.Start();
  for (int64_t round = 1; round <= 2; ++round) {
    std::promise<void> release;
    HoldUp(worker, release.get_future());
    CHECK(Reaches(store, "server.worker_0.watchdog_miss", round));
    CHECK(Reaches(store, "server.worker_0.watchdog_mega_miss", round));
    // Still the same stall.
    CHECK(store.Value("server.worker_0.watchdog_miss") == round);
    release.set_value();
    // What the watchdog has handed over runs before this does.
    std::promise<void> at_once;
    at_once.set_value();
    HoldUp(worker, at_once.get_future());
  }
  CHECK(store.Value("workers.watchdog_miss") == 2);
  CHECK(store.Value("workers.watchdog_mega_miss") == 2);
  watchdog.Stop();
  worker.Stop();
  worker.Join();
}

TEST_CASE("the main thread has names of its own") {
  stats::Store store;
  Worker main(Worker::kMain, 1);
  Watchdog watchdog(store.Root(), {.miss = 20ms, .mega_miss = 60ms});
  watchdog.Watch(main);
  watchdog.Start();  // nobody runs its loop
  CHECK(Reaches(store, "main_thread.watchdog_mega_miss", 1));
  CHECK(store.Value("server.main_thread.watchdog_miss") == 1);
  watchdog.Stop();
}

}  // namespace
}  // namespace sluice
