// THE list: what this binary can be configured with, one line each. A new extension adds its
// include and its line here.
#include "extensions/builtin.h"

#include "extensions/access_loggers/file/file.h"
#include "extensions/access_loggers/stream/stream.h"
#include "extensions/bootstrap/dns_caches/dns_caches.h"
#include "extensions/bootstrap/egress_guard/egress_guard.h"
#include "extensions/clusters/dynamic_forward_proxy/cluster.h"
#include "extensions/filters/http/basic_auth/filter.h"
#include "extensions/filters/http/buffer/filter.h"
#include "extensions/filters/http/cors/filter.h"
#include "extensions/filters/http/dynamic_forward_proxy/filter.h"
#include "extensions/filters/http/egress_guard/filter.h"
#include "extensions/filters/http/fault/filter.h"
#include "extensions/filters/http/header_mutation/filter.h"
#include "extensions/filters/http/health_check/filter.h"
#include "extensions/filters/http/local_ratelimit/filter.h"
#include "extensions/filters/http/proxy_auth/filter.h"
#include "extensions/filters/http/rbac/filter.h"
#include "extensions/filters/http/set_filter_state/filter.h"
#include "extensions/filters/listener/original_dst/original_dst.h"
#include "extensions/filters/listener/proxy_protocol/proxy_protocol.h"
#include "extensions/filters/listener/tls_inspector/tls_inspector.h"
#include "extensions/filters/network/connection_limit/filter.h"
#include "extensions/filters/network/local_ratelimit/filter.h"
#include "extensions/filters/network/rbac/filter.h"
#include "extensions/filters/network/sni_dynamic_forward_proxy/filter.h"
#include "extensions/filters/network/tcp_proxy/filter.h"
#include "extensions/load_balancing/maglev/maglev.h"
#include "extensions/load_balancing/peak_ewma/peak_ewma.h"
#include "extensions/load_balancing/ring_hash/ring_hash.h"
#include "source/router/router_factory.h"
#include "source/server/clusters/cluster_factory.h"
#include "source/server/clusters/load_balancing.h"
#include "source/server/hcm/http_connection_manager.h"

namespace sluice {

void RegisterBuiltinExtensions(Registry& registry) {
  RegisterOriginalDst(registry);
  RegisterProxyProtocol(registry);
  RegisterTlsInspector(registry);

  RegisterConnectionLimit(registry);
  RegisterHttpConnectionManager(registry);
  RegisterNetworkLocalRateLimit(registry);
  RegisterSniDynamicForwardProxy(registry);
  RegisterTcpProxy(registry);
  RegisterNetworkRbac(registry);

  RegisterRouter(registry);
  RegisterDynamicForwardProxyFilter(registry);
  RegisterEgressGuardFilter(registry);
  RegisterHeaderMutation(registry);
  RegisterLocalRateLimit(registry);
  RegisterRbac(registry);
  RegisterBasicAuth(registry);
  RegisterProxyAuth(registry);
  RegisterCors(registry);
  RegisterFault(registry);
  RegisterBuffer(registry);
  RegisterHealthCheck(registry);
  RegisterSetFilterState(registry);

  RegisterDnsCluster(registry);
  RegisterDynamicForwardProxyCluster(registry);
  RegisterBalancers(registry);
  RegisterMaglev(registry);
  RegisterPeakEwma(registry);
  RegisterRingHash(registry);

  RegisterDnsCaches(registry);
  RegisterEgressGuard(registry);

  RegisterFileAccessLogger(registry);
  RegisterStreamAccessLoggers(registry);
}

}  // namespace sluice
