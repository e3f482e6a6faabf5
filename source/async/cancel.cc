// Cancellers and deadlines. Worker thread only.
#include "source/async/cancel.h"

namespace sluice {

void Canceller::Cancel(Reason reason) {
  if (cancelled_) return;
  cancelled_ = true;
  reason_ = reason;
  Interrupt();
}

void Canceller::Interrupt() {
  interrupted_ = true;
  if (waiting_ != nullptr) waiting_->Abort();
}

bool Deadline::Expired() {
  Disarm();
  if (!fired_) return false;
  canceller_.Recover();
  return !canceller_.cancelled();
}

}  // namespace sluice
