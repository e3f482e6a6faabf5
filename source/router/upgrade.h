// Upgrades: whether CONNECT or an Upgrade is allowed for a request. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "source/http/message.h"

namespace sluice {

struct Route;

/// upgrade_configs: protocol in lower case ("connect", "websocket") and whether it is enabled.
/// Small, hence a list.
using UpgradeSet = std::vector<std::pair<std::string, bool>>;

/// "connect" for a CONNECT, the wanted protocol for an Upgrade, empty for a plain request.
std::string_view WantedUpgrade(const RequestHead& head);

/// False when the request wants an upgrade that neither its route nor the connection manager
/// enables: answer 403 with an empty body, details `upgrade_failed`, and count
/// downstream_rq_ws_on_non_ws_route. The route's own list beats `manager`'s. True without a route:
/// the router then answers 404. Call it after RouteTable::Select and before the filters.
bool UpgradeAllowed(const Route* route, const UpgradeSet& manager, const RequestHead& head);

}  // namespace sluice
