// One HTTP/1.1 session on a connection, and what is counted of the connection. Worker thread only.
#include "source/server/hcm/serve.h"

#include "source/base/clock.h"

namespace sluice {
namespace {

// Counts a connection as open while it lives.
class OpenConnection {
 public:
  explicit OpenConnection(const HcmStats& stats) : stats_(stats) {
    stats_.downstream_cx_total.Add();
    stats_.downstream_cx_http1_total.Add();
    stats_.downstream_cx_active.Add();
    stats_.downstream_cx_http1_active.Add();
  }
  ~OpenConnection() {
    stats_.downstream_cx_active.Sub();
    stats_.downstream_cx_http1_active.Sub();
    stats_.downstream_cx_destroy.Add();
    stats_.downstream_cx_length_ms.Record(static_cast<uint64_t>(Milliseconds(Now() - start_)));
  }
  OpenConnection(const OpenConnection&) = delete;

 private:
  const HcmStats& stats_;
  const TimePoint start_ = Now();
};

}  // namespace

Task<> ServeHttp(Connection& connection, const ExchangeHandler& handler,
                 const ServerSessionSettings& settings, const HcmStats& stats) {
  const OpenConnection open(stats);
  ServerSession session(connection.worker, *connection.stream, connection.canceller,
                        connection.facts, handler, settings, connection.buffer_limit);
  connection.drainable = &session;
  if (connection.draining) session.Drain();
  co_await session.Run();
  connection.drainable = nullptr;
  (session.closed_by_peer() ? stats.downstream_cx_destroy_remote
                            : stats.downstream_cx_destroy_local)
      .Add();
  const bool healthy = settings.healthy->load(std::memory_order_relaxed);
  if (connection.draining || (!healthy && !session.closed_by_peer()))
    stats.downstream_cx_drain_close.Add();
}

}  // namespace sluice
