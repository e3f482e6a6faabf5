// Caches by name and resolvers by configuration. Main thread.
#include "source/upstream/dns/dns_cache_manager.h"

#include <utility>

#include <google/protobuf/util/message_differencer.h>

#include "source/upstream/dns/dns_config.h"

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

void AddExtension(const sluice::dns::v1::DnsCaches::Cache& config, DnsCacheOptions& options) {
  using Extra = sluice::dns::v1::DnsCaches::Cache;
  options.evict_when_full = config.when_full() == Extra::EVICT_LEAST_RECENTLY_USED;
  if (config.address_policy() == Extra::ROUND_ROBIN)
    options.address_policy = DnsCacheOptions::AddressPolicy::kRoundRobin;
  options.max_host_stats = config.max_host_stats();
  if (!config.has_per_host()) return;
  options.per_host = DnsCacheSettings::PerHost{config.per_host().max_connections(),
                                               config.per_host().max_pending_requests(),
                                               config.per_host().max_requests()};
}

}  // namespace

DnsCacheManager::DnsCacheManager(Worker& main, size_t workers, stats::Store& stats,
                                 MakeResolver make_resolver, config::Runtime* runtime)
    : main_(main),
      workers_count_(workers),
      stats_(stats),
      make_resolver_(std::move(make_resolver)),
      runtime_(runtime) {}

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

void DnsCacheManager::Extend(const sluice::dns::v1::DnsCaches& config, std::string_view path,
                             config::Diagnostics& diagnostics) {
  for (int i = 0; i < config.caches_size(); ++i) {
    const std::string where = Cat(path, ".caches[", i, "].name");
    const std::string& name = config.caches(i).name();
    if (!extensions_.emplace(name, Extension{config.caches(i), where}).second)
      diagnostics.Error(where, Cat("the cache '", name, "' has settings here already"));
  }
}

void DnsCacheManager::CheckExtensions(config::Diagnostics& diagnostics) const {
  for (const auto& [name, extension] : extensions_) {
    if (!caches_.contains(name))
      diagnostics.Error(extension.path, Cat("no filter or cluster has a DNS cache '", name, "'"));
  }
}

absl::StatusOr<DnsCache*> DnsCacheManager::GetCache(const DnsCacheConfig& config,
                                                    std::string_view path) {
  if (const auto it = caches_.find(config.name()); it != caches_.end()) {
    if (MessageDifferencer::Equals(it->second.config, config)) return it->second.cache.get();
    return Invalid("config specified DNS cache '", config.name(), "' with different settings",
                   it->second.path.empty() ? "" : " than at ", it->second.path);
  }
  absl::StatusOr<DnsCacheOptions> options = DnsCacheOptionsOf(config);
  if (!options.ok()) return options.status();
  if (const auto more = extensions_.find(config.name()); more != extensions_.end())
    AddExtension(more->second.config, *options);
  const absl::StatusOr<Resolver*> resolver = GetResolver(
      config.has_typed_dns_resolver_config() ? &config.typed_dns_resolver_config() : nullptr);
  if (!resolver.ok()) return resolver.status();
  auto cache = std::make_unique<DnsCache>(*std::move(options), **resolver, main_, workers_count_,
                                          stats_, runtime_);
  if (workers_ != nullptr) cache->Start(*workers_);
  by_name_[config.name()] = cache.get();
  return caches_.emplace(config.name(), Cache{config, std::string(path), std::move(cache)})
      .first->second.cache.get();
}

void DnsCacheManager::OnRuntimeChanged() {
  for (const auto& [name, cache] : caches_) cache.cache->OnRuntimeChanged();
}

void DnsCacheManager::RefreshStats() const {
  for (const auto& [name, cache] : caches_) cache.cache->RefreshStats();
}

void DnsCacheManager::Start(const std::vector<std::unique_ptr<Worker>>& workers) {
  workers_ = &workers;
  for (const auto& [name, cache] : caches_) cache.cache->Start(workers);
}

}  // namespace sluice
