// Hands the settings to those who make the caches. Main thread.
#include "extensions/bootstrap/dns_caches/dns_caches.h"

#include "source/upstream/dns/dns_cache_manager.h"

namespace sluice {
namespace {

using Proto = sluice::dns::v1::DnsCaches;

absl::StatusOr<BootstrapExtensionPtr> Create(const Proto& config, FactoryContext& context) {
  context.server.dns_caches.Extend(config, context.path, context.server.diagnostics);
  return std::make_shared<Proto>(config);
}

}  // namespace

void RegisterDnsCaches(Registry& registry) {
  registry.AddBootstrapExtension<Proto>("sluice.bootstrap.dns_caches", Create);
}

}  // namespace sluice
