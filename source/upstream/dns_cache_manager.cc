// Caches by name and resolvers by configuration. Main thread.
#include "source/upstream/dns_cache_manager.h"

#include <utility>

#include <google/protobuf/util/message_differencer.h>

#include "source/upstream/dns_config.h"

namespace sluice {
namespace {

using envoy::config::core::v3::TypedExtensionConfig;
using envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
using google::protobuf::util::MessageDifferencer;

CaresStats CaresStatsOf(stats::Store& store) {
  const stats::Scope scope = store.Root().Sub("dns.cares");
  return {scope.counter("resolve_total"),    scope.gauge("pending_resolutions"),
          scope.counter("not_found"),        scope.counter("timeouts"),
          scope.counter("get_addr_failure"), scope.counter("reinits")};
}

}  // namespace

DnsCacheManager::DnsCacheManager(Worker& main, size_t workers, stats::Store& stats,
                                 MakeResolver make_resolver)
    : main_(main),
      workers_count_(workers),
      stats_(stats),
      make_resolver_(std::move(make_resolver)) {}

DnsCacheManager::~DnsCacheManager() = default;

absl::Status DnsCacheManager::SetDefaultResolver(const TypedExtensionConfig& config) {
  const absl::StatusOr<CaresOptions> options = CaresOptionsOf(config);
  if (!options.ok()) return options.status();
  default_resolver_ = config;
  return absl::OkStatus();
}

absl::StatusOr<Resolver*> DnsCacheManager::GetResolver(const TypedExtensionConfig* config) {
  const TypedExtensionConfig& chosen = config != nullptr ? *config : default_resolver_;
  CaresOptions options;
  if (chosen.has_typed_config()) {
    absl::StatusOr<CaresOptions> parsed = CaresOptionsOf(chosen);
    if (!parsed.ok()) return parsed.status();
    options = *std::move(parsed);
  }
  std::unique_ptr<Resolver>& resolver = resolvers_[chosen.typed_config().value()];
  if (resolver == nullptr) {
    resolver = make_resolver_
                   ? make_resolver_(options)
                   : std::make_unique<CaresResolver>(main_, options, CaresStatsOf(stats_));
  }
  return resolver.get();
}

absl::StatusOr<DnsCache*> DnsCacheManager::GetCache(const DnsCacheConfig& config) {
  if (const auto it = caches_.find(config.name()); it != caches_.end()) {
    if (MessageDifferencer::Equals(it->second.config, config)) return it->second.cache.get();
    return Invalid("config specified DNS cache '", config.name(), "' with different settings");
  }
  absl::StatusOr<DnsCacheOptions> options = DnsCacheOptionsOf(config);
  if (!options.ok()) return options.status();
  const absl::StatusOr<Resolver*> resolver = GetResolver(
      config.has_typed_dns_resolver_config() ? &config.typed_dns_resolver_config() : nullptr);
  if (!resolver.ok()) return resolver.status();
  auto cache =
      std::make_unique<DnsCache>(*std::move(options), **resolver, main_, workers_count_, stats_);
  if (workers_ != nullptr) cache->Start(*workers_);
  by_name_[config.name()] = cache.get();
  return caches_.emplace(config.name(), Cache{config, std::move(cache)}).first->second.cache.get();
}

void DnsCacheManager::Start(const std::vector<std::unique_ptr<Worker>>& workers) {
  workers_ = &workers;
  for (const auto& [name, cache] : caches_) cache.cache->Start(workers);
}

}  // namespace sluice
