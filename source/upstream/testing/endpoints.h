// Endpoints for tests of balancing: no sockets, health and weights as wanted. Test threads only.
#pragma once

#include <memory>
#include <string>

#include "source/upstream/endpoint.h"

namespace sluice::testing {

/// An endpoint on 10.0.0.`number`:80 for one worker.
inline std::shared_ptr<Endpoint> MakeEndpoint(uint32_t number, Endpoint::Settings settings = {}) {
  settings.addresses = {Address::Ipv4(0x0a000000 + number, 80)};
  return std::make_shared<Endpoint>(std::move(settings), std::make_shared<HostStats>(), 1);
}

inline std::shared_ptr<Endpoint> MakeEndpoint(uint32_t number, bool healthy,
                                              Endpoint::Settings settings = {}) {
  auto endpoint = MakeEndpoint(number, std::move(settings));
  endpoint->stats().health.Set(HostHealth::kFailedActiveHc, !healthy);
  return endpoint;
}

}  // namespace sluice::testing
