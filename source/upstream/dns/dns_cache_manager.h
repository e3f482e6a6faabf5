// DnsCacheManager: the DNS caches of the process by name, and the resolvers by configuration. Main
// thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "api/envoy/config/core/v3/extension.pb.h"
#include "api/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.pb.h"
#include "api/sluice/dns/v1/dns_caches.pb.h"
#include "source/config/diagnostics.h"
#include "source/net/cares_resolver.h"
#include "source/upstream/dns/dns_cache.h"

namespace sluice {

class DnsCacheManager {
 public:
  using MakeResolver = std::function<std::unique_ptr<Resolver>(const CaresOptions&)>;

  /// `workers`: how many there will be. `make_resolver`: for tests; c-ares on `main` by default.
  /// `runtime`: may change settings of the caches; null: nothing does.
  DnsCacheManager(Worker& main, size_t workers, stats::Store& stats,
                  MakeResolver make_resolver = {}, config::Runtime* runtime = nullptr);
  /// After the loops of main and of all workers have ended.
  ~DnsCacheManager();

  /// The resolver of those that configure none (Bootstrap.typed_dns_resolver_config); c-ares with
  /// the system's servers until this is called. Call it before anything else. InvalidArgument for
  /// another type than CaresDnsResolverConfig or bad values.
  absl::Status SetDefaultResolver(const envoy::config::core::v3::TypedExtensionConfig& config);

  /// The resolver of a typed_dns_resolver_config; null: the default one. Equal configurations share
  /// one. It lives as long as the manager. InvalidArgument as above.
  absl::StatusOr<Resolver*> GetResolver(
      const envoy::config::core::v3::TypedExtensionConfig* config);

  /// More settings for caches that come later, by name; `path` is where they stand. Problems go to
  /// `diagnostics`.
  void Extend(const sluice::dns::v1::DnsCaches& config, std::string_view path,
              config::Diagnostics& diagnostics);
  /// Once all caches were asked for: reports settings for names that no cache has.
  void CheckExtensions(config::Diagnostics& diagnostics) const;

  /// The cache of that name, made on first use; it lives as long as the manager. `path` is where
  /// `config` stands, for errors. InvalidArgument when the name is known with different settings,
  /// or for bad values, in Envoy's words.
  absl::StatusOr<DnsCache*> GetCache(
      const envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig& config,
      std::string_view path = {});

  /// Starts all caches, and those that come later as they come. Before the workers run; `workers`
  /// must outlive the manager.
  void Start(const std::vector<std::unique_ptr<Worker>>& workers);

  /// All caches take over what the runtime says now.
  void OnRuntimeChanged();
  /// Brings the statistics up to date that are computed when somebody looks.
  void RefreshStats() const;

  /// For the admin: all caches by name.
  const std::map<std::string, DnsCache*>& caches() const { return by_name_; }

 private:
  struct Cache {
    envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig config;
    std::string path;  // where it was first defined
    std::unique_ptr<DnsCache> cache;
  };
  struct Extension {
    sluice::dns::v1::DnsCaches::Cache config;
    std::string path;
  };

  Worker& main_;
  const size_t workers_count_;
  stats::Store& stats_;
  const MakeResolver make_resolver_;
  config::Runtime* const runtime_;
  const std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
  envoy::config::core::v3::TypedExtensionConfig default_resolver_;
  std::map<std::string, std::unique_ptr<Resolver>> resolvers_;  // by serialised configuration
  std::map<std::string, Cache> caches_;
  std::map<std::string, Extension> extensions_;
  std::map<std::string, DnsCache*> by_name_;
};

}  // namespace sluice
