// UpstreamHost: what an exchange remembers of the host it went to. Constant once others see it.
#pragma once

#include <memory>
#include <string>

namespace envoy::config::core::v3 {
class Metadata;
}

namespace sluice {

/// Part of the endpoint, which a pointer to it keeps alive: the endpoint may be out of use by the
/// time the log asks.
struct UpstreamHost {
  std::string hostname;  // as configured, or name:port of a dynamic host; empty: it has none
  /// LbEndpoint.metadata, all of it; null: none.
  std::shared_ptr<const envoy::config::core::v3::Metadata> all_metadata;
};

}  // namespace sluice
