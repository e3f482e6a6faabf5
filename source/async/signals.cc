// Main thread.
#include "source/async/signals.h"

namespace sluice {

Signals::Signals(Worker& worker, std::initializer_list<int> numbers) : set_(worker.io()) {
  for (int number : numbers) set_.add(number);
}

Task<int> Signals::Next() {
  if (Cancelled(co_await kCancelState)) co_return 0;
  auto [error, number] = co_await set_.async_wait(kAwait);
  co_return error ? 0 : number;
}

}  // namespace sluice
