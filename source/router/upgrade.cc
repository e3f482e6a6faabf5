// The upgrade decision. Pure functions, any thread.
#include "source/router/upgrade.h"

#include <algorithm>

#include "source/router/route.h"

namespace sluice {
namespace {

const bool* Find(const UpgradeSet& set, std::string_view protocol) {
  const auto found = std::find_if(set.begin(), set.end(),
                                  [&](const auto& entry) { return entry.first == protocol; });
  return found == set.end() ? nullptr : &found->second;
}

}  // namespace

std::string_view WantedUpgrade(const RequestHead& head) {
  return head.is_connect() ? std::string_view("connect") : head.upgrade;
}

bool UpgradeAllowed(const Route* route, const UpgradeSet& manager, const RequestHead& head) {
  const std::string_view wanted = WantedUpgrade(head);
  if (wanted.empty() || route == nullptr) return true;
  // Only a route that forwards can carry on with another protocol; other answers need no leave.
  if (route->action != Route::Action::kForward) return true;
  if (const bool* enabled = Find(route->upgrades, wanted)) return *enabled;
  const bool* enabled = Find(manager, wanted);
  return enabled != nullptr && *enabled;
}

}  // namespace sluice
