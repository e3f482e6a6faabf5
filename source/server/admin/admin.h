// Admin: answers the requests of the admin's listener, an ordinary HTTP/1.1 listener on the main
// thread. Main thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/base/metric.h"
#include "source/http/h1/server_session.h"
#include "source/observe/access_log/access_log.h"
#include "source/observe/match/match.h"
#include "source/server/admin/context.h"
#include "source/server/hcm/hcm_stats.h"

namespace sluice::admin {

/// Why a request is refused before it reaches a page; empty when it is not. A browser that was
/// lured to a page of somebody else must neither change nor read anything here: a POST with an
/// Origin has to come from the admin's own Host (CSRF), and an admin bound to loopback does not
/// answer under a foreign host name (DNS rebinding): an IP address, "localhost", a name without a
/// dot or no Host at all is asked for. `origin` and `host` are header values; an absent host is
/// empty.
std::string_view RefusalOf(std::string_view method, std::string_view host,
                           std::optional<std::string_view> origin, bool on_loopback);

/// Hand one to the ServerSession of every admin connection.
class Admin final : public ExchangeHandler {
 public:
  /// Counts as http.admin.downstream_rq_* in context.stats, and below listener.admin. `access_logs`
  /// are those of Bootstrap.admin.access_log. Unless `allow_paths` is empty, a request whose path
  /// and query match none of them is answered 403.
  Admin(AdminContext context, std::vector<std::shared_ptr<const AccessLogger>> access_logs,
        std::vector<StringMatcher> allow_paths = {});
  ~Admin() override;

  Task<Response> OnRequest(Request request, Exchange& exchange) const override;
  Response OnBadRequest(const HeadResult& result, Exchange& exchange) const override;
  void OnTunnel(Exchange&) const override {}
  void OnComplete(Exchange& exchange) const override;

 private:
  bool MayAsk(std::string_view path) const;

  const AdminContext context_;
  const std::vector<std::shared_ptr<const AccessLogger>> access_logs_;
  const std::vector<StringMatcher> allow_paths_;
  const HcmStats stats_;                 // http.admin
  const CompletedRequests on_listener_;  // listener.admin.http.admin
};

}  // namespace sluice::admin
