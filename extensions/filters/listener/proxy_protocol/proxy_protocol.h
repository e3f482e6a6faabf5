// envoy.filters.listener.proxy_protocol: the PROXY header at the beginning of a connection says who
// the client is. Immutable, shared by all workers.
#pragma once

#include <string>

#include "source/extension/registry.h"
#include "source/net/proxy_protocol.h"
#include "source/observe/stats/stats.h"

namespace sluice {

/// proxy_proto.[<stat_prefix>.]* (`scope`), and downstream_cx_proxy_proto_error (`root`).
struct ProxyProtocolStats {
  ProxyProtocolStats(const stats::Scope& scope, const stats::Scope& root);

  struct Version {
    explicit Version(const stats::Scope& scope);
    Counter found, disallowed, error;
  };
  Counter not_found_allowed, not_found_disallowed;
  Counter errors;       // neither a header nor allowed to come without
  Version versions[2];  // of 1 and 2
};

class ProxyProtocolFilter final : public ListenerFilter {
 public:
  struct Settings {
    bool optional = false;
    bool disallowed[2] = {};  // versions 1 and 2
  };
  ProxyProtocolFilter(Settings settings, const ProxyProtocolStats& stats)
      : settings_(settings), stats_(stats) {}

  Task<absl::Status> Inspect(Connection& connection) const override;

 private:
  absl::Status Judge(const ProxyHeader& header, Connection& connection) const;

  const Settings settings_;
  const ProxyProtocolStats stats_;
};

/// Makes the filter known.
void RegisterProxyProtocol(Registry& registry);

}  // namespace sluice
