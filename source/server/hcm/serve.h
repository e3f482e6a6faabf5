// ServeHttp: a connection of HTTP/1.1 from its first byte to its end. On the connection's worker.
#pragma once

#include "source/extension/network_filter.h"
#include "source/server/hcm/hcm_stats.h"

namespace sluice {

/// Serves the connection, ends with it, and counts it. All arguments outlive it.
Task<> ServeHttp(Connection& connection, const ExchangeHandler& handler,
                 const ServerSessionSettings& settings, const HcmStats& stats);

}  // namespace sluice
