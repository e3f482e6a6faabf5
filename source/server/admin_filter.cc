// Main thread.
#include "source/server/admin_filter.h"

namespace sluice {
namespace {

class AdminFilter final : public NetworkFilter {
 public:
  explicit AdminFilter(std::unique_ptr<const ExchangeHandler> handler)
      : handler_(std::move(handler)) {
    settings_.limits.accept_http_10 = true;
    settings_.idle_timeout = std::chrono::minutes(5);
    settings_.stream_idle_timeout = std::chrono::minutes(1);
  }

  Task<> Handle(Connection& connection, NetworkNext) const override {
    ServerSession session(connection.worker, *connection.stream, connection.canceller,
                          connection.facts, *handler_, settings_);
    connection.on_drain = [&session] { session.Drain(); };
    if (connection.draining) session.Drain();
    co_await session.Run();
    connection.on_drain = nullptr;
  }

 private:
  const std::unique_ptr<const ExchangeHandler> handler_;
  ServerSessionSettings settings_;
};

}  // namespace

std::unique_ptr<const NetworkFilter> MakeAdminFilter(
    std::unique_ptr<const ExchangeHandler> handler) {
  return std::make_unique<AdminFilter>(std::move(handler));
}

}  // namespace sluice
