// AdminFilter: serves a connection to the admin's listener. Main thread.
#pragma once

#include <memory>

#include "source/extension/network_filter.h"
#include "source/http/h1/server_session.h"
#include "source/observe/stats/stats.h"

namespace sluice {

/// `scope` is http.admin: connections are counted there as a connection manager counts its own.
std::unique_ptr<const NetworkFilter> MakeAdminFilter(std::unique_ptr<const ExchangeHandler> handler,
                                                     const stats::Scope& scope);

}  // namespace sluice
