// The watchdog's thread. See watchdog.h for who calls what.
#include "source/server/watchdog.h"

#include <pthread.h>

#include "source/base/strings.h"

namespace sluice {

Watchdog::Watchdog(const stats::Scope& root, Limits limits) : root_(root), limits_(limits) {}

void Watchdog::Watch(Worker& worker) {
  const bool is_main = worker.index() == Worker::kMain;
  const std::string thread = is_main ? "main_thread" : Cat("worker_", worker.index());
  watched_.push_back({worker, Figures(root_.Sub(is_main ? "main_thread" : "workers")),
                      Figures(root_.Sub("server").Sub(thread))});
}

void Watchdog::Start() {
  thread_ = std::thread([this] { Run(); });
  ::pthread_setname_np(thread_.native_handle(), "watchdog");
}

void Watchdog::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_one();
  thread_.join();
}

void Watchdog::Run() {
  const Duration pause = limits_.miss / 2;
  TimePoint last = Now();
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, pause, [this] { return stopping_; })) {
    const TimePoint now = Now();
    // Where this thread did not run either (the whole process was stopped), nobody is to blame.
    const Duration late = now - last - pause;
    for (Watched& watched : watched_) {
      if (late > pause) watched.since += late;
      Look(watched, now);
    }
    last = now;
  }
}

void Watchdog::Look(Watched& watched, TimePoint now) const {
  if (watched.turned->exchange(false, std::memory_order_relaxed)) {
    watched.since = now;
    watched.missed = watched.mega_missed = false;
    watched.worker.Post(
        [turned = watched.turned] { turned->store(true, std::memory_order_relaxed); });
    return;
  }
  const Duration silent = now - watched.since;
  if (silent >= limits_.miss && !std::exchange(watched.missed, true)) {
    watched.kind.miss.Add();
    watched.own.miss.Add();
  }
  if (silent >= limits_.mega_miss && !std::exchange(watched.mega_missed, true)) {
    watched.kind.mega_miss.Add();
    watched.own.mega_miss.Add();
  }
}

}  // namespace sluice
