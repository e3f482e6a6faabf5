// AdminFilter: serves a connection to the admin's listener. Main thread.
#pragma once

#include <memory>

#include "source/extension/network_filter.h"
#include "source/http/h1/server_session.h"

namespace sluice {

std::unique_ptr<const NetworkFilter> MakeAdminFilter(
    std::unique_ptr<const ExchangeHandler> handler);

}  // namespace sluice
