// Waiting for a signal of the process in a coroutine. Main thread.
#include "source/async/signals.h"

namespace sluice {

Signals::Signals(Worker& worker, std::initializer_list<int> numbers) : set_(worker.io()) {
  for (int number : numbers) set_.add(number);
}

Task<int> Signals::Next() {
  came_.Clear();
  set_.async_wait([this](ErrorCode error, int number) {
    if (error) return;
    number_ = number;
    came_.Set();
  });
  if (co_await came_.Wait()) co_return number_;
  set_.cancel();
  co_return 0;
}

}  // namespace sluice
