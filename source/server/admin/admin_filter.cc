// The filter of connections to the admin: an HTTP session with limits that are not configurable.
// Main thread.
#include "source/server/admin/admin_filter.h"

#include "source/server/hcm/serve.h"

namespace sluice {
namespace {

class AdminFilter final : public NetworkFilter {
 public:
  AdminFilter(std::unique_ptr<const ExchangeHandler> handler, const stats::Scope& scope)
      : handler_(std::move(handler)), stats_(scope) {
    stats_.GiveTo(&settings_);
    settings_.limits.accept_http_10 = true;
    settings_.idle_timeout = std::chrono::minutes(5);
    settings_.stream_idle_timeout = std::chrono::minutes(1);
  }

  Task<> Handle(Connection& connection, NetworkNext) const override {
    return ServeHttp(connection, *handler_, settings_, stats_);
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
