// UpstreamTransport: what a cluster's transport_socket adds to its plain connections. Immutable,
// any thread.
#pragma once

#include <string>

#include "source/http/exchange.h"
#include "source/net/proxy_protocol.h"

namespace sluice {

struct UpstreamTransport {
  int proxy_version = 0;  // of the PROXY header at the beginning of each connection

  /// What stands at the beginning of a connection that is made for `exchange`. Connections with
  /// different beginnings are never shared.
  std::string BeginningFor(const Exchange& exchange) const {
    const ConnectionFacts& client = exchange.connection();
    return WriteProxyHeader(proxy_version, client.remote, client.local);
  }
  /// The same where nobody is behind a connection but we: version 1 then names its own two ends,
  /// and version 2 says LOCAL.
  std::string BeginningOf(const Stream& stream) const {
    if (proxy_version == 2) return WriteProxyHeader(2, {}, {});
    return WriteProxyHeader(proxy_version, stream.local_address(), stream.remote_address());
  }
};

}  // namespace sluice
