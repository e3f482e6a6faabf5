// The host of a request, before the cluster resolves it. Worker threads.
#include "extensions/filters/http/dynamic_forward_proxy/filter.h"

#include "api/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy.pb.h"
#include "source/config/durations.h"
#include "source/http/reply.h"
#include "source/upstream/cluster_manager.h"
#include "source/upstream/dns/dns_cache_manager.h"
#include "source/upstream/egress/egress_guard.h"
#include "source/upstream/saved_address.h"

namespace sluice {
namespace {

// An absent header leaves the authority as it is; an empty one makes it empty, which the cluster
// refuses.
void Rewrite(const HostRewrite& rewrite, RequestHead& head) {
  if (!rewrite.literal.empty()) head.authority = rewrite.literal;
  if (rewrite.header.empty()) return;
  if (const auto value = head.headers.Get(rewrite.header)) head.authority = *value;
}

Task<Response> RefuseLoop(Exchange& exchange) {
  exchange.Note(ResponseFlag::kEgressDenied);
  co_return Refusal(exchange, 508, "loop detected", "loop_detected");
}

}  // namespace

// Whether the request has passed here before; marks it for the next time. A tunnel hands nothing
// on, and needs no mark: every turn of a loop would be the client's own.
bool DynamicForwardProxyFilter::IsLoop(RequestHead& head, const Exchange& exchange) const {
  if (egress_ == nullptr || head.is_connect()) return false;
  const EgressGuard& guard =
      exchange.egress_guard != nullptr ? *exchange.egress_guard : egress_->guard();
  if (guard.allows_loops()) return false;
  if (egress_->loop_mark().IsIn(head.headers)) {
    egress_->stats().loops.Add();
    return true;
  }
  egress_->loop_mark().AddTo(head.headers);
  return false;
}

Task<Response> DynamicForwardProxyFilter::Handle(Request request, Exchange& exchange,
                                                 Next next) const {
  const HostRewrite* rewrite = next.RouteConfig<HostRewrite>();
  if (exchange.route() == nullptr) return next(std::move(request));
  const Cluster* cluster =
      clusters_.Find(exchange.route()->ClusterFor(*request.head), exchange.worker());
  if (cluster == nullptr || !cluster->is_dynamic()) return next(std::move(request));
  if (IsLoop(*request.head, exchange)) return RefuseLoop(exchange);
  if (rewrite != nullptr) Rewrite(*rewrite, *request.head);
  if (init_timeout_.has_value())
    return WaitForSubCluster(std::move(request), exchange, next, *cluster);
  if (!save_upstream_address_) return next(std::move(request));
  return ResolveFirst(std::move(request), exchange, next, *cluster);
}

// Filters behind this one want to know the address already.
Task<Response> DynamicForwardProxyFilter::ResolveFirst(Request request, Exchange& exchange,
                                                       Next next, const Cluster& cluster) const {
  auto endpoint = co_await cluster.Pick(SendOptions{}, exchange);
  if (!endpoint.ok()) co_return ErrorReply(endpoint.status(), exchange);
  exchange.set_filter_state(SavedAddress::kName,
                            std::make_shared<SavedAddress>((*endpoint)->address()));
  co_return co_await next(std::move(request));
}

// The answers that Envoy gives here; a route without the filter answers as for any cluster without
// hosts.
Task<Response> DynamicForwardProxyFilter::WaitForSubCluster(Request request, Exchange& exchange,
                                                            Next next,
                                                            const Cluster& cluster) const {
  Deadline deadline(exchange.worker().wheel(), exchange.canceller(), *init_timeout_);
  const absl::Status ready = co_await cluster.Prepare(exchange);
  const bool late = deadline.Expired() && !exchange.canceller().cancelled();
  if (ready.ok()) co_return co_await next(std::move(request));
  const bool overflow = ready.message() == "sub_cluster_overflow";
  if (!late && !overflow && ready.message() != "sub_cluster_warming_timeout")
    co_return ErrorReply(ready, exchange);
  const std::string_view body = overflow ? "Sub cluster overflow" : "Sub cluster warming timeout";
  co_return Refusal(exchange, 503, body,
                    overflow ? "sub_cluster_overflow" : "sub_cluster_warming_timeout");
}

namespace {

namespace dfp = envoy::extensions::filters::http::dynamic_forward_proxy::v3;

absl::StatusOr<FilterPtr> Create(const dfp::FilterConfig& config, FactoryContext& context) {
  if (config.has_dns_cache_config()) {
    // The cache is the cluster's; asking for it here finds settings that contradict each other.
    const auto cache = context.server.dns_caches.GetCache(config.dns_cache_config(),
                                                          context.path + ".dns_cache_config");
    if (!cache.ok()) return cache.status();
  }
  std::optional<Duration> init_timeout;
  if (config.has_sub_cluster_config()) {
    if (config.save_upstream_address()) {
      return Invalid("save_upstream_address: a sub cluster chooses among its addresses later; use ",
                     "dns_cache_config");
    }
    const auto& sub_cluster = config.sub_cluster_config();
    init_timeout = sub_cluster.has_cluster_init_timeout()
                       ? config::ToDuration(sub_cluster.cluster_init_timeout())
                       : std::chrono::seconds(5);
  }
  return std::make_unique<DynamicForwardProxyFilter>(context.server.clusters, context.server.egress,
                                                     config.save_upstream_address(), init_timeout);
}

absl::StatusOr<std::shared_ptr<const HostRewrite>> CreateRoute(const dfp::PerRouteConfig& config,
                                                               FactoryContext&) {
  return std::make_shared<const HostRewrite>(
      HostRewrite{config.host_rewrite_literal(), ToLower(config.host_rewrite_header())});
}

}  // namespace

void RegisterDynamicForwardProxyFilter(Registry& registry) {
  registry.AddHttpFilter<dfp::FilterConfig, dfp::PerRouteConfig>(
      "envoy.filters.http.dynamic_forward_proxy", Posture::kRobustToUntrustedDownstream, Create,
      CreateRoute);
}

}  // namespace sluice
