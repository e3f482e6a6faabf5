// Watchdog: notices when the loop of a thread does not turn, which holds up everything that the
// thread serves. It has a thread of its own, which hands each loop a tiny function now and then,
// and looks whether it ran: nothing else is asked of those that are watched.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "source/async/worker.h"
#include "source/observe/stats/stats.h"

namespace sluice {

class Watchdog {
 public:
  /// How long a loop may take before it counts. The defaults are Envoy's.
  struct Limits {
    Duration miss = std::chrono::milliseconds(200);
    Duration mega_miss = std::chrono::seconds(1);
  };

  /// Main thread. Counts below `root`: workers.watchdog_miss, server.worker_0.watchdog_miss, ...,
  /// and the same with main_thread; and watchdog_mega_miss.
  Watchdog(const stats::Scope& root, Limits limits);
  ~Watchdog() { Stop(); }
  Watchdog(const Watchdog&) = delete;

  /// Main thread, before Start(): has `worker` watched, which outlives Stop().
  void Watch(Worker& worker);
  /// Main thread: begins, once the loops are about to run.
  void Start();
  /// Main thread: ends, before the loops do. Idempotent.
  void Stop();

 private:
  // Counted for all of its kind, and for the thread itself.
  struct Figures {
    explicit Figures(const stats::Scope& scope)
        : miss(scope.counter("watchdog_miss")), mega_miss(scope.counter("watchdog_mega_miss")) {}
    Counter miss, mega_miss;
  };
  struct Watched {
    Worker& worker;
    Figures kind, own;
    /// Set by the function that was handed over; it may outlive the watchdog in a loop that ended.
    std::shared_ptr<std::atomic<bool>> turned = std::make_shared<std::atomic<bool>>(true);
    TimePoint since{};  // when it was handed over
    bool missed = false, mega_missed = false;
  };

  void Run();
  void Look(Watched& watched, TimePoint now) const;

  const stats::Scope root_;
  const Limits limits_;
  std::vector<Watched> watched_;  // the watchdog's own thread, once that runs
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;  // under mutex_
  std::thread thread_;
};

}  // namespace sluice
