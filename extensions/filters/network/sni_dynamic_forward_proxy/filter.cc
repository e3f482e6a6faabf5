// The port of a name. Worker threads; what is built from the configuration, main thread.
#include "extensions/filters/network/sni_dynamic_forward_proxy/filter.h"

#include "api/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.pb.h"
#include "source/base/strings.h"
#include "source/upstream/dns/dns_cache_manager.h"

namespace sluice {
namespace {

using Proto = envoy::extensions::filters::network::sni_dynamic_forward_proxy::v3::FilterConfig;

class Port final : public FilterStateObject {
 public:
  explicit Port(uint16_t port) : text_(Cat(port)) {}
  std::string ToString() const override { return text_; }

 private:
  const std::string text_;
};

absl::StatusOr<NetworkFilterPtr> Create(const Proto& config, FactoryContext& context) {
  // The cache is the cluster's; asking for it here finds settings that contradict each other.
  const auto cache = context.server.dns_caches.GetCache(config.dns_cache_config(),
                                                        context.path + ".dns_cache_config");
  if (!cache.ok()) return cache.status();
  return std::make_unique<SniDynamicForwardProxy>(static_cast<uint16_t>(config.port_value()));
}

}  // namespace

SniDynamicForwardProxy::SniDynamicForwardProxy(uint16_t port)
    : port_(port == 0 ? nullptr : std::make_shared<Port>(port)) {}

Task<> SniDynamicForwardProxy::Handle(Connection& connection, NetworkNext next) const {
  if (port_ != nullptr && !connection.facts.found().requested_server_name.empty())
    connection.facts.AddFindings().filter_state.emplace_back("envoy.upstream.dynamic_port", port_);
  return next(connection);
}

void RegisterSniDynamicForwardProxy(Registry& registry) {
  registry.AddNetworkFilter<Proto>("envoy.filters.network.sni_dynamic_forward_proxy",
                                   Posture::kRobustToUntrustedDownstream, Create);
}

}  // namespace sluice
