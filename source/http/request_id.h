// The identity that a request carries through all hops (x-request-id). Any thread.
#pragma once

#include <string_view>

#include "source/async/worker.h"
#include "source/http/arena.h"

namespace sluice {

/// A random UUID (version 4), written into `arena`.
std::string_view MakeRequestId(Rng& rng, Arena& arena);

}  // namespace sluice
