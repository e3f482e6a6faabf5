// Clusters from their configuration. Main thread, while a configuration is loaded.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// The cluster that `config` (at `path`) describes; null when there was a problem, which is
/// reported.
ClusterPtr BuildCluster(const envoy::config::cluster::v3::Cluster& config, const std::string& path,
                        ServerContext& server);

/// Registers envoy.clusters.dns, the newer form of STRICT_DNS and LOGICAL_DNS.
void RegisterDnsCluster(Registry& registry);

}  // namespace sluice
