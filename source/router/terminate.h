// Terminating a tunnel: what a CONNECT (or, where allowed, a POST) carries goes to the endpoint as
// plain bytes. Worker thread only.
#pragma once

#include "source/router/route.h"
#include "source/upstream/cluster.h"

namespace sluice {

/// True when the request's tunnel ends at the endpoint of `route`.
bool EndsTunnel(const Route& route, const RequestHead& head);

/// Connects to the cluster, writes the PROXY header if the route wants one, and answers 200: to a
/// CONNECT with the tunnel; to a POST with the endpoint's bytes as the body, while the request's
/// body goes there. Errors: those of Cluster::Connect.
Task<absl::StatusOr<Response>> TerminateTunnel(Request& request, Exchange& exchange,
                                               const Route& route, const Cluster& cluster,
                                               const SendOptions& options);

}  // namespace sluice
