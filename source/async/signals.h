// Signals: the process's signals as something to await. Belongs to the main worker.
#pragma once

#include <initializer_list>

#include <boost/asio/signal_set.hpp>

#include "source/async/worker.h"

namespace sluice {

class Signals {
 public:
  /// From now on these signals come here instead of doing what the system does with them.
  Signals(Worker& worker, std::initializer_list<int> numbers);

  /// The next one; 0 when the wait was cancelled.
  Task<int> Next();

 private:
  asio::basic_signal_set<Executor> set_;
  Event came_;
  int number_ = 0;
};

}  // namespace sluice
