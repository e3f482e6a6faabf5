// HttpConnectionManager: the network filter that turns a connection into exchanges: it runs the
// HTTP session, decides who the client is and which route a request takes, sends it through the
// filter chain, and counts and logs what became of it. Immutable; shared by all workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/extension/network_filter.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"
#include "source/http/h1/server_session.h"
#include "source/http/path.h"
#include "source/router/route_table.h"
#include "source/router/upgrade.h"
#include "source/server/hcm/edge.h"
#include "source/server/hcm/hcm_stats.h"
#include "source/server/hcm/local_reply.h"

namespace sluice {

struct HcmSettings {
  std::string stat_prefix;
  enum class ServerHeader : uint8_t { kOverwrite, kAppendIfAbsent, kPassThrough };
  std::string server_name = "envoy";  // Envoy's default, on which scripts depend
  ServerHeader server_header = ServerHeader::kOverwrite;
  HeaderEdits early_edits;  // early_header_mutation_extensions
  EdgeSettings edge;
  PathSettings path;
  std::string default_host_http_10;  // of HTTP/1.0 requests without a Host
  bool strip_any_host_port = false;
  bool strip_matching_host_port = false;
  bool strip_trailing_host_dot = false;
  bool request_id_in_response = false;
  bool log_new_request = false;
  bool log_tunnel = false;
  Duration log_interval{};  // a line every so often; zero: none
  UpgradeSet upgrades;
  std::shared_ptr<const LocalReplies> local_replies;  // null: they stay as they are
  ServerSessionSettings session;
  Counter underscore_rejects;  // http1.requests_rejected_with_underscores_in_headers
};

class HttpConnectionManager final : public NetworkFilter, public ExchangeHandler {
 public:
  HttpConnectionManager(HcmSettings settings, HcmStats stats,
                        std::unique_ptr<const HttpFilterChain> chain,
                        std::shared_ptr<const RouteTable> routes,
                        std::vector<AccessLoggerPtr> access_logs);

  Task<> Handle(Connection& connection, NetworkNext next) const override;
  void OnRefused(Connection& connection, const ConnectionRefusal& why) const override;
  void OnBound(const stats::Scope& listener) const override;

  Task<Response> OnRequest(Request request, Exchange& exchange) const override;
  void OnInterim(int status) const override;
  void OnResponse(Response& response, Exchange& exchange) const override;
  Response OnBadRequest(const HeadResult& result, Exchange& exchange) const override;
  void OnTunnel(Exchange& exchange) const override;
  void OnComplete(Exchange& exchange) const override;

  const RouteTable& routes() const { return *routes_; }

 private:
  std::optional<Response> Prepare(RequestHead& head, Exchange& exchange) const;
  bool HasRoute(const InternalRedirects& redirects, RequestHead& head, Exchange& exchange) const;
  std::optional<Response> FindRoute(RequestHead& head, Exchange& exchange) const;
  std::optional<Response> CheckTarget(RequestHead& head, Exchange& exchange) const;
  void TakeInternalHeaders(RequestHead& head) const;
  std::string_view StripPort(std::string_view authority, uint16_t listener_port) const;
  void StripHost(RequestHead& head, uint16_t listener_port) const;
  void CountFault(HeadFault fault) const;
  void Sign(Headers& headers, bool always_ours) const;
  Task<Response> Rework(Task<Response> answer, Exchange& exchange) const;
  void Log(Exchange& exchange, std::string_view type) const;
  static Task<> LogPeriodically(const HttpConnectionManager& manager, Exchange& exchange);

  const HcmSettings settings_;
  const HcmStats stats_;
  mutable CompletedRequests on_listener_;  // listener.<address>.http.<prefix>, from OnBound() on
  const std::unique_ptr<const HttpFilterChain> chain_;
  const std::shared_ptr<const RouteTable> routes_;
  const std::vector<AccessLoggerPtr> access_logs_;
};

/// Registers envoy.filters.network.http_connection_manager.
void RegisterHttpConnectionManager(Registry& registry);

}  // namespace sluice
