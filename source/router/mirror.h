// Request mirroring: copies of a request go to other clusters, and what these answer is dropped.
// The copies live on the worker of the request and may outlive it.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "source/http/exchange.h"
#include "source/router/mirror_policy.h"
#include "source/upstream/cluster.h"

namespace sluice {

/// Starts the copies of a request that is ready to be sent. Returns the body to send in place of
/// `body`: what is read of it goes to the copies, too. A copy whose cluster falls behind by more
/// than its per_connection_buffer_limit_bytes is given up. `timeout` zero: none.
BodyPtr SendCopies(
    const std::vector<MirrorPolicy>& mirrors, Duration timeout,
    const std::function<const Cluster*(std::string_view name, const Worker& worker)>& find_cluster,
    const RequestHead& head, BodyPtr body, Exchange& exchange);

/// The host of a copy: "a.t:80" becomes "a.t-shadow:80".
std::string ShadowHost(std::string_view host);

}  // namespace sluice
