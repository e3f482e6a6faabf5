// Cancellers and deadlines. Worker thread only.
#include "source/async/cancel.h"

namespace sluice {

void Canceller::Cancel(Reason reason) {
  if (cancelled_) return;
  cancelled_ = true;
  reason_ = reason;
  Interrupt();
}

Task<> Canceller::Recover() {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  // The reset forgot what Cancel() had said; say it again to the new state.
  if (cancelled_) signal_.emit(asio::cancellation_type::terminal);
}

Task<> Canceller::Reset() {
  cancelled_ = false;
  return Recover();
}

Task<bool> Deadline::Expired() {
  Disarm();
  if (!fired_) co_return false;
  co_await canceller_.Recover();
  co_return !canceller_.cancelled();
}

}  // namespace sluice
