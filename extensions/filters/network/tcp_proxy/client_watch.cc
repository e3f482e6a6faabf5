// Watching a client that waits. Worker thread only.
#include "extensions/filters/network/tcp_proxy/client_watch.h"

#include "source/base/reason.h"

namespace sluice {
namespace {

// Quick connections never pay for the watch.
constexpr Duration kWatchAfter = std::chrono::milliseconds(50);
constexpr size_t kMaxEarly = 64 * 1024;

}  // namespace

ClientWatch::ClientWatch(Connection& connection) : connection_(connection) {
  connection.worker.wheel().Arm(*this, kWatchAfter);
}

Task<> ClientWatch::End() {
  Disarm();
  if (scope_.empty()) co_return;
  scope_.Cancel();
  co_await scope_.Join();
}

Task<> ClientWatch::Watch(ClientWatch& watch) {
  Stream& stream = *watch.connection_.stream;
  while (watch.early_.view().size() < kMaxEarly) {
    if (!co_await stream.WaitReadable()) co_return;
    const auto count = stream.TryRead(watch.early_.Room());
    if (!count.ok()) {
      watch.connection_.canceller.Cancel(Reason::kDownstreamClosed);
      co_return;
    }
    if (!count->has_value()) continue;
    if (**count == 0) co_return;
    watch.early_.Added(**count);
  }
}

}  // namespace sluice
