// envoy.filters.listener.tls_inspector: finds out whether a connection is TLS and for which name,
// without ending the TLS: filter chains, logs and clusters then know the name. Immutable, shared by
// all workers.
#pragma once

#include "source/extension/registry.h"
#include "source/observe/stats/stats.h"

namespace sluice {

/// tls_inspector.*, under Envoy's names.
struct TlsInspectorStats {
  explicit TlsInspectorStats(const stats::Scope& scope);

  Counter client_hello_too_large, tls_found, tls_not_found, alpn_found, alpn_not_found, sni_found,
      sni_not_found;
};

class TlsInspector final : public ListenerFilter {
 public:
  struct Settings {
    bool close_on_errors = false;
    size_t max_size = 16 * 1024;
  };
  TlsInspector(Settings settings, const stats::Scope& scope) : settings_(settings), stats_(scope) {}

  Task<absl::Status> Inspect(Connection& connection) const override;

 private:
  const Settings settings_;
  const TlsInspectorStats stats_;
};

/// Makes the filter known.
void RegisterTlsInspector(Registry& registry);

}  // namespace sluice
