// One HTTP/1.1 session on a connection, and what is counted of the connection. Worker thread only.
#include "source/server/hcm/serve.h"

#include <memory>

#include "source/base/clock.h"
#include "source/base/free_lists.h"

namespace sluice {
namespace {

// A session that counts its connection, and how it ended.
class CountedSession final : public ServerSession, public Pooled<CountedSession> {
 public:
  CountedSession(Connection& connection, const ExchangeHandler& handler,
                 const ServerSessionSettings& settings, const HcmStats& stats)
      : ServerSession(connection, handler, settings), stats_(stats) {
    stats_.downstream_cx_total.Add();
    stats_.downstream_cx_http1_total.Add();
    stats_.downstream_cx_active.Add();
    stats_.downstream_cx_http1_active.Add();
  }
  ~CountedSession() override {
    stats_.downstream_cx_active.Sub();
    stats_.downstream_cx_http1_active.Sub();
    stats_.downstream_cx_destroy.Add();
    (closed_by_peer() ? stats_.downstream_cx_destroy_remote : stats_.downstream_cx_destroy_local)
        .Add();
    const bool healthy = settings().healthy->load(std::memory_order_relaxed);
    if (connection().draining || (!healthy && !closed_by_peer()))
      stats_.downstream_cx_drain_close.Add();
    stats_.downstream_cx_length_ms.Record(
        static_cast<uint64_t>(Milliseconds(Now() - connection().facts.opened)));
  }

 private:
  const HcmStats& stats_;
};

}  // namespace

Task<> ServeHttp(Connection& connection, const ExchangeHandler& handler,
                 const ServerSessionSettings& settings, const HcmStats& stats) {
  return ServerSession::Run(std::make_unique<CountedSession>(connection, handler, settings, stats));
}

}  // namespace sluice
