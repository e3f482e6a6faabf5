// Main thread.
#include "source/server/admin/admin_filter.h"

#include "source/server/hcm/hcm_stats.h"

namespace sluice {
namespace {

class AdminFilter final : public NetworkFilter {
 public:
  AdminFilter(std::unique_ptr<const ExchangeHandler> handler, const stats::Scope& scope)
      : handler_(std::move(handler)), stats_(scope) {
    settings_.received = stats_.downstream_cx_rx_bytes_total;
    settings_.sent = stats_.downstream_cx_tx_bytes_total;
    settings_.delayed_closes = stats_.downstream_cx_delayed_close_timeout;
    settings_.reading_paused = stats_.downstream_flow_control_paused_reading_total;
    settings_.reading_resumed = stats_.downstream_flow_control_resumed_reading_total;
    settings_.idle_timeouts = stats_.downstream_cx_idle_timeout;
    settings_.limits.accept_http_10 = true;
    settings_.idle_timeout = std::chrono::minutes(5);
    settings_.stream_idle_timeout = std::chrono::minutes(1);
  }

  Task<> Handle(Connection& connection, NetworkNext) const override {
    const OpenConnection open(stats_);
    ServerSession session(connection.worker, *connection.stream, connection.canceller,
                          connection.facts, *handler_, settings_);
    connection.drainable = &session;
    if (connection.draining) session.Drain();
    co_await session.Run();
    connection.drainable = nullptr;
    (session.closed_by_peer() ? stats_.downstream_cx_destroy_remote
                              : stats_.downstream_cx_destroy_local)
        .Add();
  }

 private:
  const std::unique_ptr<const ExchangeHandler> handler_;
  const HcmStats stats_;
  ServerSessionSettings settings_;
};

}  // namespace

std::unique_ptr<const NetworkFilter> MakeAdminFilter(std::unique_ptr<const ExchangeHandler> handler,
                                                     const stats::Scope& scope) {
  return std::make_unique<AdminFilter>(std::move(handler), scope);
}

}  // namespace sluice
