// THE list: what this binary can be configured with, one line each. A new extension adds its
// include and its line here.
#include "extensions/builtin.h"

#include "extensions/access_loggers/file/file.h"
#include "extensions/access_loggers/stream/stream.h"
#include "extensions/bootstrap/dns_caches/dns_caches.h"
#include "extensions/bootstrap/egress_guard/egress_guard.h"
#include "extensions/clusters/dynamic_forward_proxy/cluster.h"
#include "extensions/filters/http/dynamic_forward_proxy/filter.h"
#include "extensions/filters/http/egress_guard/filter.h"
#include "extensions/filters/http/header_mutation/filter.h"
#include "extensions/filters/http/set_filter_state/filter.h"
#include "extensions/filters/listener/original_dst/original_dst.h"
#include "extensions/filters/listener/proxy_protocol/proxy_protocol.h"
#include "extensions/filters/listener/tls_inspector/tls_inspector.h"
#include "extensions/filters/network/connection_limit/filter.h"
#include "extensions/filters/network/tcp_proxy/filter.h"
#include "source/server/cluster_factory.h"
#include "source/server/http_connection_manager.h"
#include "source/server/router_factory.h"

namespace sluice {

void RegisterBuiltinExtensions(Registry& registry) {
  RegisterOriginalDst(registry);
  RegisterProxyProtocol(registry);
  RegisterTlsInspector(registry);

  RegisterConnectionLimit(registry);
  RegisterHttpConnectionManager(registry);
  RegisterTcpProxy(registry);

  RegisterRouter(registry);
  RegisterDynamicForwardProxyFilter(registry);
  RegisterEgressGuardFilter(registry);
  RegisterHeaderMutation(registry);
  RegisterSetFilterState(registry);

  RegisterDynamicForwardProxyCluster(registry);
  RegisterBalancers(registry);

  RegisterDnsCaches(registry);
  RegisterEgressGuard(registry);

  RegisterFileAccessLogger(registry);
  RegisterStreamAccessLoggers(registry);
}

}  // namespace sluice
