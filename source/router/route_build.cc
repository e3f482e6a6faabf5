// Compiling a route configuration into a RouteTable. Main thread, while a configuration is loaded.
#include "api/envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite.pb.h"
#include "source/base/strings.h"
#include "source/extension/rate_limit/rate_limit.h"
#include "source/router/filter_levels.h"
#include "source/router/retry_config.h"
#include "source/router/route_action.h"
#include "source/router/route_table.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::route::v3;
using config::ChildPath;
using config::ElementPath;

constexpr size_t kDefaultMaxDirectBody = 4096;
constexpr size_t kMaxFilters = 64;

}  // namespace

/// What every level of a route configuration has: edits and per-filter configuration.
struct RouteLevel {
  std::shared_ptr<const HeaderEdits> request, response;  // null: none
  FilterLevel filters;
  bool is_weighted = false;  // of one of several clusters
};

class RouteTableBuilder {
 public:
  RouteTableBuilder(const v3::RouteConfiguration& config, const RouteBuildContext& context)
      : config_(config), context_(context), diagnostics_(context.diagnostics) {
    if (config.has_max_direct_response_body_size_bytes())
      max_direct_body_ = config.max_direct_response_body_size_bytes().value();
  }

  std::shared_ptr<const RouteTable> Build() {
    const size_t errors = diagnostics_.errors();
    if (context_.chain.size() > kMaxFilters)
      diagnostics_.Error(context_.path, "a chain has at most 64 filters");
    table_.reset(new RouteTable());
    table_->name_ = config_.name();
    table_->domains_.set_ignore_port(config_.ignore_port_in_host_matching());
    table_->host_header_ = ToLower(config_.vhost_header());
    table_->ignore_path_parameters_ = config_.ignore_path_parameters_in_path_matching();
    for (const std::string& name : config_.internal_only_headers())
      table_->internal_headers_.push_back(ToLower(name));
    mirrors_ = BuildMirrorsOf(config_, context_.path);
    levels_.push_back(BuildLevel(config_, context_.path));
    for (int i = 0; i < config_.virtual_hosts_size(); ++i) {
      AddVirtualHost(config_.virtual_hosts(i),
                     ElementPath(ChildPath(context_.path, "virtual_hosts"), i));
    }
    return diagnostics_.errors() == errors ? std::move(table_) : nullptr;
  }

 private:
  template <class Config>
  RouteLevel BuildLevel(const Config& config, const std::string& path) {
    const auto shared = [](HeaderEdits edits) {
      return edits.empty() ? nullptr : std::make_shared<const HeaderEdits>(std::move(edits));
    };
    RouteLevel level;
    level.request = shared(HeaderEdits::Build(
        config.request_headers_to_add(), config.request_headers_to_remove(), path,
        "request_headers_to_add", "request_headers_to_remove", diagnostics_));
    level.response = shared(HeaderEdits::Build(
        config.response_headers_to_add(), config.response_headers_to_remove(), path,
        "response_headers_to_add", "response_headers_to_remove", diagnostics_));
    level.filters = FilterLevel::Build(config.typed_per_filter_config(), path, context_);
    for (const auto& place : level.filters.places) {
      if (place.config != nullptr) table_->filter_configs_.push_back(place.config);
    }
    return level;
  }

  void AddVirtualHost(const v3::VirtualHost& config, const std::string& path) {
    const auto index = static_cast<uint32_t>(table_->hosts_.size());
    RouteTable::VirtualHost host;
    host.name = config.name();
    if (config.domains().empty())
      diagnostics_.Error(ChildPath(path, "domains"), "a virtual host needs at least one domain");
    for (int i = 0; i < config.domains_size(); ++i) {
      const absl::Status added = table_->domains_.Add(config.domains(i), index);
      if (!added.ok())
        diagnostics_.Error(ElementPath(ChildPath(path, "domains"), i), Std(added.message()));
    }
    host.require_tls = static_cast<RouteTable::VirtualHost::Tls>(config.require_tls());
    host.to_https = HttpsRedirect(config);
    host_retry_ =
        !config.has_retry_policy()
            ? nullptr
            : BuildRetry(config.retry_policy(), ChildPath(path, "retry_policy"), diagnostics_);
    host_mirrors_ = BuildMirrorsOf(config, path);
    virtual_clusters_ = BuildVirtualClusters(config, path);
    host_metadata_ =
        config.has_metadata()
            ? std::make_shared<const envoy::config::core::v3::Metadata>(config.metadata())
            : nullptr;
    levels_.push_back(BuildLevel(config, path));
    host_rate_limits_ = std::make_shared<const RateLimits>(RateLimits::Build(
        config.rate_limits(), ChildPath(path, "rate_limits"), context_.own_cluster, diagnostics_));
    for (int i = 0; i < config.routes_size(); ++i) {
      host.entries.push_back(
          BuildEntry(config.routes(i), config, ElementPath(ChildPath(path, "routes"), i)));
    }
    levels_.pop_back();
    table_->hosts_.push_back(std::move(host));
  }

  RouteTable::Entry BuildEntry(const v3::Route& config, const v3::VirtualHost& host,
                               const std::string& path) {
    RouteTable::Entry entry;
    entry.matcher = RouteMatcher::Build(config.match(), ChildPath(path, "match"), diagnostics_,
                                        context_.runtime);
    levels_.push_back(BuildLevel(config, path));
    Route route;
    route.name = config.name();
    route.virtual_host = host.name();
    route.matched = entry.matcher.matched();
    route.matched_prefix = entry.matcher.prefix_length();
    route.virtual_clusters = virtual_clusters_;
    route.host_metadata = host_metadata_;
    if (config.has_metadata())
      route.metadata = std::make_shared<const envoy::config::core::v3::Metadata>(config.metadata());
    if (!config.stat_prefix().empty() && context_.stats != nullptr) {
      route.stats = std::make_shared<const RequestStats>(
          VirtualHostScope(host).Sub("route").Sub(config.stat_prefix(), stats::tag::kRoute));
    }
    route.request_attempt_count = host.include_request_attempt_count();
    route.response_attempt_count = host.include_attempt_count_in_response();
    route.timeout_retry_header = host.include_is_timeout_retry_header();
    route.body_limit = BodyLimit(config);
    if (!route.body_limit.has_value()) route.body_limit = BodyLimit(host);
    switch (config.action_case()) {
      case v3::Route::kRoute:
        BuildForward(config.route(), ChildPath(path, "route"), diagnostics_, &route);
        route.rate_limits = BuildRateLimits(config.route(), ChildPath(path, "route"));
        InheritFromHost(config.route(), ChildPath(path, "route"), entry.matcher, &route);
        AddClusters(config.route(), ChildPath(path, "route"), route, &entry);
        break;
      case v3::Route::kRedirect:
        route.action = Route::Action::kRedirect;
        route.redirect = std::make_shared<Redirect>(
            BuildRedirect(config.redirect(), ChildPath(path, "redirect"), diagnostics_));
        AddChoice(route, &entry);
        break;
      case v3::Route::kDirectResponse:
        route.action = Route::Action::kDirectResponse;
        route.direct = std::make_shared<DirectResponse>(
            BuildDirectResponse(config.direct_response(), max_direct_body_,
                                ChildPath(path, "direct_response"), diagnostics_));
        AddChoice(route, &entry);
        break;
      case v3::Route::ACTION_NOT_SET:
        diagnostics_.Error(path, "one of route, redirect, direct_response is required");
        break;
    }
    levels_.pop_back();
    return entry;
  }

  std::shared_ptr<const RouteRateLimits> BuildRateLimits(const v3::RouteAction& config,
                                                         const std::string& path) {
    RateLimits own = RateLimits::Build(config.rate_limits(), ChildPath(path, "rate_limits"),
                                       context_.own_cluster, diagnostics_);
    if (own.empty() && host_rate_limits_->empty()) return nullptr;
    return std::make_shared<const RouteRateLimits>(RouteRateLimits{
        std::move(own), host_rate_limits_, config.include_vh_rate_limits().value()});
  }

  void AddClusters(const v3::RouteAction& config, const std::string& path, const Route& route,
                   RouteTable::Entry* entry) {
    Route choice = route;
    choice.criteria = MetadataCriteria::Build(config.metadata_match());
    switch (config.cluster_specifier_case()) {
      case v3::RouteAction::kCluster:
        choice.cluster_name = config.cluster();
        CheckCluster(config.cluster(), ChildPath(path, "cluster"));
        return AddChoice(std::move(choice), entry);
      case v3::RouteAction::kClusterHeader:
        choice.cluster_header = ToLower(config.cluster_header());
        return AddChoice(std::move(choice), entry);
      case v3::RouteAction::kWeightedClusters:
        return AddWeighted(config.weighted_clusters(), ChildPath(path, "weighted_clusters"), choice,
                           entry);
      case v3::RouteAction::CLUSTER_SPECIFIER_NOT_SET:
        diagnostics_.Error(path, "one of cluster, cluster_header, weighted_clusters is required");
    }
  }

  void AddWeighted(const v3::WeightedCluster& config, const std::string& path, const Route& route,
                   RouteTable::Entry* entry) {
    uint64_t sum = 0;
    entry->weight_header = ToLower(config.header_name());
    entry->weights_by_hash = config.use_hash_policy().value();
    for (int i = 0; i < config.clusters_size(); ++i) {
      const auto& weighted = config.clusters(i);
      const std::string element = ElementPath(ChildPath(path, "clusters"), i);
      Route choice = route;
      choice.criteria = MetadataCriteria::Build(weighted.metadata_match(), route.criteria);
      choice.cluster_name = weighted.name();
      choice.cluster_header = ToLower(weighted.cluster_header());
      if (weighted.name().empty() == weighted.cluster_header().empty()) {
        diagnostics_.Error(element, "exactly one of name, cluster_header is needed");
      } else if (!weighted.name().empty()) {
        CheckCluster(weighted.name(), ChildPath(element, "name"));
      }
      if (!weighted.host_rewrite_literal().empty())
        choice.host_literal = weighted.host_rewrite_literal();
      levels_.push_back(BuildLevel(weighted, element));
      levels_.back().is_weighted = true;
      AddChoice(std::move(choice), entry);
      levels_.pop_back();
      sum += weighted.weight().value();
      // A cluster that a header names has no key of its own.
      const std::string key = config.runtime_key_prefix().empty() || weighted.name().empty()
                                  ? ""
                                  : Cat(config.runtime_key_prefix(), ".", weighted.name());
      entry->weights.emplace_back(context_.runtime, key, weighted.weight().value());
    }
    if (sum == 0) diagnostics_.Error(ChildPath(path, "clusters"), "the weights add up to zero");
    if (sum > UINT32_MAX)
      diagnostics_.Error(ChildPath(path, "clusters"), "the weights add up to more than 4294967295");
  }

  void CheckCluster(const std::string& name, const std::string& path) {
    const bool wanted = !config_.has_validate_clusters() || config_.validate_clusters().value();
    if (wanted && context_.cluster_exists != nullptr && !context_.cluster_exists(name)) {
      diagnostics_.Error(path, Cat("route: unknown cluster ", config::Quoted(name)));
    }
  }

  // Only of a level that is known to be a route or a virtual host.
  template <class Config>
  static std::optional<size_t> BodyLimit(const Config& config) {
    if (config.has_request_body_buffer_limit()) return config.request_body_buffer_limit().value();
    if (!config.has_per_request_buffer_limit_bytes()) return std::nullopt;
    return config.per_request_buffer_limit_bytes().value();
  }

  template <class Config>
  std::shared_ptr<const std::vector<MirrorPolicy>> BuildMirrorsOf(const Config& config,
                                                                  const std::string& path) {
    const std::string list = ChildPath(path, "request_mirror_policies");
    for (int i = 0; i < config.request_mirror_policies_size(); ++i) {
      const std::string& name = config.request_mirror_policies(i).cluster();
      if (!name.empty()) CheckCluster(name, ChildPath(ElementPath(list, i), "cluster"));
    }
    return BuildMirrors(config.request_mirror_policies(), list, diagnostics_, context_.runtime);
  }

  // What a forwarding route takes over where it says nothing, and what it has of its matcher.
  void InheritFromHost(const v3::RouteAction& config, const std::string& path,
                       const RouteMatcher& matcher, Route* route) {
    if (!config.has_retry_policy()) route->retry = host_retry_;
    route->mirrors = BuildMirrorsOf(config, path);
    if (route->mirrors == nullptr) route->mirrors = host_mirrors_;
    if (route->mirrors == nullptr) route->mirrors = mirrors_;
    if (!config.has_path_rewrite_policy()) return;
    const std::string policy = ChildPath(path, "path_rewrite_policy");
    envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig rewrite;
    if (!config.path_rewrite_policy().typed_config().UnpackTo(&rewrite)) {
      return diagnostics_.Error(
          policy, "only envoy.path.rewrite.uri_template.uri_template_rewriter is supported");
    }
    if (matcher.uri_template() == nullptr)
      return diagnostics_.Error(policy, "goes with a uri_template path_match_policy only");
    auto parsed =
        UriTemplateRewrite::Parse(rewrite.path_template_rewrite(), matcher.uri_template());
    if (!parsed.ok()) {
      return diagnostics_.Error(ChildPath(policy, "typed_config.path_template_rewrite"),
                                Std(parsed.status().message()));
    }
    route->rewrite.emplace().uri_template = *std::move(parsed);
  }

  stats::Scope VirtualHostScope(const v3::VirtualHost& host) const {
    return context_.stats->Sub("vhost").Sub(host.name(), stats::tag::kVirtualHost);
  }

  std::shared_ptr<const VirtualClusters> BuildVirtualClusters(const v3::VirtualHost& config,
                                                              const std::string& path) {
    if (config.virtual_clusters().empty() || context_.stats == nullptr) return nullptr;
    const stats::Scope scope = VirtualHostScope(config).Sub("vcluster");
    const auto stats_of = [&](std::string_view name) {
      return std::make_shared<const RequestStats>(scope.Sub(name, stats::tag::kVirtualCluster));
    };
    auto clusters = std::make_shared<VirtualClusters>();
    for (int i = 0; i < config.virtual_clusters_size(); ++i) {
      const auto& one = config.virtual_clusters(i);
      const std::string element = ElementPath(ChildPath(path, "virtual_clusters"), i);
      if (one.headers().empty()) diagnostics_.Error(element, "needs at least one of headers");
      clusters->push_back(
          {one.name(), BuildMatchers(one.headers(), ChildPath(element, "headers"), diagnostics_),
           stats_of(one.name())});
    }
    clusters->push_back({"", {}, stats_of("other")});
    return clusters;
  }

  // Where require_tls sends what comes in clear.
  Route HttpsRedirect(const v3::VirtualHost& config) {
    Route route;
    route.virtual_host = config.name();
    route.action = Route::Action::kRedirect;
    auto redirect = std::make_shared<Redirect>();
    redirect->scheme = "https";
    route.redirect = std::move(redirect);
    ApplyFilterLevels({}, context_, &route);
    return route;
  }

  // A finished route: with the edits and filter configurations of all levels that are open now.
  void AddChoice(Route route, RouteTable::Entry* entry) {
    std::vector<const FilterLevel*> filters;
    for (const RouteLevel& level : levels_) filters.push_back(&level.filters);
    ApplyFilterLevels(filters, context_, &route);
    const auto add_edits = [&route](const RouteLevel& level) {
      if (level.request != nullptr) route.request_edits.push_back(level.request);
      if (level.response != nullptr) route.response_edits.push_back(level.response);
    };
    // What is applied last wins: the least specific level, unless the configuration says otherwise.
    // Those of one of several clusters come first either way, as in Envoy.
    if (config_.most_specific_header_mutations_wins()) {
      if (levels_.back().is_weighted) add_edits(levels_.back());
      for (const RouteLevel& level : levels_) {
        if (!level.is_weighted) add_edits(level);
      }
    } else {
      for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) add_edits(*level);
    }
    if (!route.cluster_name.empty() && context_.cluster_config != nullptr)
      route.cluster = context_.cluster_config(route.cluster_name);
    entry->choices.push_back(std::move(route));
  }

  const v3::RouteConfiguration& config_;
  const RouteBuildContext& context_;
  config::Diagnostics& diagnostics_;
  size_t max_direct_body_ = kDefaultMaxDirectBody;
  std::shared_ptr<RouteTable> table_;
  std::shared_ptr<const RateLimits> host_rate_limits_;  // of the virtual host that is being built
  std::shared_ptr<const std::vector<MirrorPolicy>> mirrors_;       // of the whole configuration
  std::shared_ptr<const std::vector<MirrorPolicy>> host_mirrors_;  // of the open virtual host
  std::shared_ptr<const VirtualClusters> virtual_clusters_;        // of the open virtual host
  std::shared_ptr<const envoy::config::core::v3::Metadata> host_metadata_;  // of that, too
  std::shared_ptr<const RetryPolicy> host_retry_;  // of the open virtual host
  std::vector<RouteLevel> levels_;                 // open ones, least specific first
};

std::shared_ptr<const RouteTable> RouteTable::Build(const v3::RouteConfiguration& config,
                                                    const RouteBuildContext& context) {
  return RouteTableBuilder(config, context).Build();
}

}  // namespace sluice
