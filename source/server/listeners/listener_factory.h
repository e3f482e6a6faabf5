// Listeners from their configuration. Main thread, while a configuration is loaded.
#pragma once

#include "source/extension/factory_context.h"
#include "source/server/listeners/listener.h"

namespace sluice {

/// The listener that `config` (at `path`) describes, not bound yet; null when there was a problem,
/// which is reported.
std::unique_ptr<Listener> BuildListener(const envoy::config::listener::v3::Listener& config,
                                        const std::string& path, ServerContext& server,
                                        ConnectionBudget& budget);

}  // namespace sluice
