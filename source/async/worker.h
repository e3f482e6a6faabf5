// Worker: one thread with one io_context that no other thread runs, and everything that a
// connection shares with the others of its thread. Post() may be called from any thread, Start/Join
// from the one that owns the worker, all else from the worker's own thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>

#include "absl/functional/any_invocable.h"
#include "source/async/asio.h"
#include "source/async/poller.h"
#include "source/async/scope.h"
#include "source/async/suspension.h"
#include "source/async/task.h"
#include "source/async/timer_wheel.h"

namespace sluice {

/// A small fast random generator (xoshiro256**): load balancing, jitter, sampling, request ids. Not
/// for secrets.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  uint64_t operator()();
  /// Uniform in [0, bound); bound > 0.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>((*this)()) * bound) >> 64);
  }
  /// True in `numerator` of `denominator` cases.
  bool Chance(uint64_t numerator, uint64_t denominator) {
    return denominator != 0 && Below(denominator) < numerator;
  }
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return UINT64_MAX; }
  using result_type = uint64_t;

 private:
  std::array<uint64_t, 4> state_;
};

class Worker {
 public:
  /// `index` numbers the workers from 0; the main thread's worker has index kMain.
  static constexpr int kMain = -1;
  Worker(int index, uint64_t seed);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The worker whose thread this is: the one that runs here, or was made here first. Null on other
  /// threads.
  static Worker* Current();

  /// Runs the loop on a thread of its own, named wrk:<index>, until Stop().
  void Start();
  /// Runs the loop on the calling thread until Stop().
  void Run();
  /// Any thread: ends the loop once its scope is empty; cancels what still runs there.
  void Stop();
  /// Waits for the thread that Start() made.
  void Join();

  /// Any thread: calls `function` on this worker's thread.
  void Post(absl::AnyInvocable<void()> function);

  int index() const { return index_; }
  asio::io_context& io() { return io_; }
  Executor executor() { return io_.get_executor(); }
  TimerWheel& wheel() { return wheel_; }
  Poller& poller() { return poller_; }
  RunQueue& run_queue() { return run_queue_; }
  Rng& rng() { return rng_; }
  /// All tasks that live as long as the worker: connections, listeners.
  Scope& scope() { return scope_; }
  /// Scratch memory for serialising a head; valid until the next suspension.
  std::string& scratch() { return scratch_; }

 private:
  Task<> Finish();

  const int index_;
  asio::io_context io_;
  asio::executor_work_guard<Executor> work_;
  RunQueue run_queue_;
  Poller poller_;
  TimerWheel wheel_;
  Rng rng_;
  Scope scope_;
  Scope ending_;  // the task that ends all others
  std::string scratch_;
  std::thread thread_;
};

}  // namespace sluice
