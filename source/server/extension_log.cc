// The lines about extensions in the log of a starting process. Main thread.
#include "source/server/extension_log.h"

#include "source/base/log.h"
#include "source/base/strings.h"

namespace sluice {
namespace {

template <class Entries>
void LogKind(std::string_view kind, const Entries& entries) {
  std::string names;
  for (const auto& entry : entries) {
    AppendTo(&names, names.empty() ? "" : ", ", entry.name, " (", ToString(entry.posture), ")");
  }
  SLUICE_LOG(kInfo, kMain, kind, ": ", names);
}

}  // namespace

std::string_view ToString(Posture posture) {
  switch (posture) {
    case Posture::kRobustToUntrustedDownstream:
      return "robust_to_untrusted_downstream";
    case Posture::kRobustToUntrustedBoth:
      return "robust_to_untrusted_downstream_and_upstream";
    case Posture::kTrustedOnly:
      return "requires_trusted_downstream_and_upstream";
  }
  return "unknown";
}

void LogExtensions(const Registry& registry) {
  LogKind("HTTP filters", registry.http_filters().entries());
  LogKind("listener filters", registry.listener_filters().entries());
  LogKind("network filters", registry.network_filters().entries());
  LogKind("clusters", registry.clusters().entries());
  LogKind("load balancing policies", registry.balancers().entries());
  LogKind("access loggers", registry.access_loggers().entries());
  LogKind("bootstrap extensions", registry.bootstrap_extensions().entries());
}

}  // namespace sluice
