// HttpConnectionManager from its configuration. Main thread, while a configuration is loaded.
#include "api/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "api/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb.h"
#include "api/envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "source/config/durations.h"
#include "source/extension/access_logs.h"
#include "source/server/hcm/http_connection_manager.h"
#include "source/upstream/cluster_manager.h"

namespace sluice {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using Proto = hcm::HttpConnectionManager;

// The chain of HTTP filters must end with a terminal filter, and have no other.
void CheckOrder(const std::vector<bool>& terminal, FactoryContext& context) {
  for (size_t i = 0; i + 1 < terminal.size(); ++i) {
    if (terminal[i])
      context.Error(Cat("http_filters[", i, "]"), "a terminal filter must be the last one");
  }
  if (terminal.empty() || !terminal.back()) {
    context.Error("http_filters",
                  "the last filter must be a terminal one: add envoy.filters.http.router");
  }
}

struct BuiltChain {
  std::unique_ptr<HttpFilterChain> chain = std::make_unique<HttpFilterChain>();
  std::vector<const Category<FilterPtr>::Entry*>
      entries;                       // by position: the extension of each filter
  std::vector<std::string> refused;  // names of filters that could not be built
};

BuiltChain BuildChain(const Proto& config, FactoryContext& context) {
  BuiltChain built;
  std::vector<bool> terminal;
  if (config.http_filters_size() > 64)
    context.Error("http_filters", "at most 64 filters are possible");
  for (int i = 0; i < config.http_filters_size(); ++i) {
    const hcm::HttpFilter& filter = config.http_filters(i);
    const std::string path = Cat(context.path, ".http_filters[", i, "]");
    if (context.server.diagnostics.IsLeftOut(path)) continue;
    const auto* entry = context.server.registry.http_filters().Find(
        filter.name(), filter.typed_config().type_url());
    if (entry == nullptr) {
      const std::string text =
          config::NotRegistered(filter.name(), filter.typed_config().type_url());
      filter.is_optional() ? context.server.diagnostics.Warning(path, text)
                           : context.server.diagnostics.Error(path, text);
      continue;
    }
    terminal.push_back(entry->terminal);
    if (entry->terminal && filter.disabled())
      context.server.diagnostics.Error(path, "a terminal filter cannot be disabled");
    FactoryContext inner{context.server, path + ".typed_config", context.scope};
    auto made = entry->create(filter.typed_config(), inner);
    if (!made.ok()) {
      context.server.diagnostics.Error(inner.path, Std(made.status().message()));
      built.refused.push_back(filter.name());
      continue;
    }
    if ((*made)->edits_every_response())
      built.chain->edit_every_response |= uint64_t{1} << (built.chain->entries.size() & 63);
    built.chain->entries.push_back({filter.name(), *std::move(made), filter.disabled()});
    built.entries.push_back(entry);
  }
  CheckOrder(terminal, context);
  return built;
}

std::shared_ptr<const RouteTable> BuildRoutes(const Proto& config, const BuiltChain& built,
                                              FactoryContext& context) {
  RouteBuildContext routes{context.server.diagnostics, context.path + ".route_config"};
  for (const ChainEntry& entry : built.chain->entries)
    routes.chain.push_back({entry.name, entry.disabled});
  routes.refused_filters = built.refused;
  routes.make_filter_config =
      [&](size_t index, const google::protobuf::Any& any,
          std::string_view path) -> absl::StatusOr<std::shared_ptr<const void>> {
    const auto& entry = *built.entries[index];
    const std::string_view type =
        std::string_view(any.type_url()).substr(any.type_url().rfind('/') + 1);
    if (entry.create_route == nullptr)
      return Invalid("the filter '", entry.name, "' takes no configuration per route");
    if (type != entry.route_type)
      return Invalid("the filter '", entry.name, "' takes ", entry.route_type, " per route, not ",
                     type);
    FactoryContext inner{context.server, std::string(path), context.scope};
    return entry.create_route(any, inner);
  };
  routes.runtime = context.server.runtime;
  routes.own_cluster = context.server.service_cluster;
  const stats::Scope root = context.server.stats.Root();
  routes.stats = &root;
  const ClusterManager& clusters = context.server.clusters;
  routes.cluster_exists = [&](std::string_view name) {
    return clusters.Has(name) || clusters.IsRefused(std::string(name));
  };
  routes.cluster_config = [&](std::string_view name) {
    const auto found = clusters.clusters().find(name);
    return found == clusters.clusters().end() ? nullptr : &found->second->config();
  };
  return RouteTable::Build(config.route_config(), routes);
}

EdgeSettings BuildEdge(const Proto& config, FactoryContext& context) {
  EdgeSettings edge;
  edge.use_remote_address = config.use_remote_address().value();
  edge.xff_num_trusted_hops = config.xff_num_trusted_hops();
  edge.skip_xff_append = config.skip_xff_append();
  edge.append_x_forwarded_port = config.append_x_forwarded_port();
  edge.generate_request_id =
      !config.has_generate_request_id() || config.generate_request_id().value();
  edge.preserve_external_request_id = config.preserve_external_request_id();
  edge.via = config.via();
  edge.detections = BuildClientDetections(config.original_ip_detection_extensions(), context);
  if (!edge.detections.empty() && (edge.use_remote_address || edge.xff_num_trusted_hops > 0)) {
    context.Error("original_ip_detection_extensions",
                  "cannot be combined with use_remote_address or xff_num_trusted_hops");
  }
  edge.unix_sockets_are_internal = config.internal_address_config().unix_sockets();
  const auto& ranges = config.internal_address_config().cidr_ranges();
  for (int i = 0; i < ranges.size(); ++i) {
    auto range = CidrRange::Make(ranges[i].address_prefix(), ranges[i].prefix_len().value());
    if (!range.ok()) {
      context.Error(Cat("internal_address_config.cidr_ranges[", i, "]"),
                    Std(range.status().message()));
      continue;
    }
    edge.internal_ranges.ranges.push_back(*range);
  }
  return edge;
}

HeaderEdits BuildEarlyEdits(const Proto& config, FactoryContext& context) {
  // One list: an extension after another.
  google::protobuf::RepeatedPtrField<envoy::config::common::mutation_rules::v3::HeaderMutation> all;
  for (int i = 0; i < config.early_header_mutation_extensions_size(); ++i) {
    envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation one;
    if (config.early_header_mutation_extensions(i).typed_config().UnpackTo(&one)) {
      all.MergeFrom(one.mutations());
    } else {
      context.Error(Cat("early_header_mutation_extensions[", i, "]"),
                    "use envoy.http.early_header_mutation.header_mutation");
    }
  }
  return HeaderEdits::Build(all, context.path + ".early_header_mutation_extensions",
                            context.server.diagnostics);
}

void CheckRequestId(const Proto& config, FactoryContext& context) {
  using Uuid = envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
  if (config.has_request_id_extension() && !config.request_id_extension().typed_config().Is<Uuid>())
    context.Error("request_id_extension", "use envoy.request_id.uuid");
}

PathSettings BuildPath(const Proto& config) {
  PathSettings path;
  path.normalize = config.normalize_path().value();
  path.merge_slashes = config.merge_slashes();
  switch (config.path_with_escaped_slashes_action()) {
    case Proto::REJECT_REQUEST:
      path.escaped_slashes = EscapedSlashes::kReject;
      break;
    case Proto::UNESCAPE_AND_REDIRECT:
      path.escaped_slashes = EscapedSlashes::kRedirect;
      break;
    case Proto::UNESCAPE_AND_FORWARD:
      path.escaped_slashes = EscapedSlashes::kForward;
      break;
    default:
      break;
  }
  return path;
}

ServerSessionSettings BuildSession(const Proto& config, const HcmStats& stats) {
  ServerSessionSettings session;
  const auto& common = config.common_http_protocol_options();
  session.limits.max_bytes =
      (config.has_max_request_headers_kb() ? config.max_request_headers_kb().value() : 60) * 1024;
  if (common.has_max_headers_count())
    session.limits.max_headers = common.max_headers_count().value();
  if (common.headers_with_underscores_action() ==
      envoy::config::core::v3::HttpProtocolOptions::REJECT_REQUEST) {
    session.limits.underscores = HeadLimits::kReject;
  } else if (common.headers_with_underscores_action() ==
             envoy::config::core::v3::HttpProtocolOptions::DROP_HEADER) {
    session.limits.underscores = HeadLimits::kDrop;
  }
  session.limits.accept_http_10 = config.http_protocol_options().accept_http_10();
  const auto& options = config.http_protocol_options();
  session.enable_trailers = options.enable_trailers();
  session.limits.allow_absolute_url =
      !options.has_allow_absolute_url() || options.allow_absolute_url().value();
  if (common.has_idle_timeout()) session.idle_timeout = config::ToDuration(common.idle_timeout());
  if (common.has_max_connection_duration())
    session.max_connection_duration = config::ToDuration(common.max_connection_duration());
  if (common.has_max_stream_duration())
    session.max_stream_duration = config::ToDuration(common.max_stream_duration());
  if (common.has_max_requests_per_connection())
    session.max_requests_per_connection = common.max_requests_per_connection().value();
  if (config.has_stream_idle_timeout())
    session.stream_idle_timeout = config::ToDuration(config.stream_idle_timeout());
  if (config.has_request_timeout())
    session.request_timeout = config::ToDuration(config.request_timeout());
  if (config.has_request_headers_timeout())
    session.request_headers_timeout = config::ToDuration(config.request_headers_timeout());
  if (config.has_delayed_close_timeout())
    session.delayed_close_timeout = config::ToDuration(config.delayed_close_timeout());
  session.drain_timeout = config.has_drain_timeout() ? config::ToDuration(config.drain_timeout())
                                                     : std::chrono::seconds(5);
  session.proxy_100_continue = config.proxy_100_continue();
  stats.GiveTo(&session);
  return session;
}

// Of the process, as in Envoy. Two stand at zero: a session has one response at a time, and
// HTTP/1.1 has no metadata.
void CountCodec(stats::Store& stats, HcmSettings& settings) {
  const stats::Scope codec = stats.Root().Sub("http1");
  settings.session.limits.dropped = codec.counter("dropped_headers_with_underscores");
  codec.counter("metadata_not_supported_error");
  codec.counter("response_flood");
  settings.underscore_rejects = codec.counter("requests_rejected_with_underscores_in_headers");
}

void ReadLogging(const Proto& config, HcmSettings& settings, FactoryContext& context) {
  const auto& options = config.access_log_options();
  settings.log_new_request = options.flush_access_log_on_new_request();
  settings.log_tunnel = options.flush_log_on_tunnel_successfully_established();
  if (options.has_access_log_flush_interval())
    settings.log_interval = config::ToDuration(options.access_log_flush_interval());
  const bool old =
      config.has_access_log_flush_interval() || config.flush_access_log_on_new_request();
  if (!old) return;
  if (config.has_access_log_options()) {
    return context.Error("access_log_options",
                         "goes without access_log_flush_interval and "
                         "flush_access_log_on_new_request, which it replaces");
  }
  settings.log_new_request = config.flush_access_log_on_new_request();
  if (config.has_access_log_flush_interval())
    settings.log_interval = config::ToDuration(config.access_log_flush_interval());
}

absl::StatusOr<NetworkFilterPtr> Create(const Proto& config, FactoryContext& outer) {
  FactoryContext context{outer.server, outer.path,
                         outer.server.stats.Root().Sub("http").Sub(
                             config.stat_prefix(), stats::tag::kHttpConnManagerPrefix)};
  const HcmStats stats(context.scope);
  HcmSettings settings;
  settings.stat_prefix = config.stat_prefix();
  if (!config.server_name().empty()) settings.server_name = config.server_name();
  settings.server_header =
      static_cast<HcmSettings::ServerHeader>(config.server_header_transformation());
  settings.early_edits = BuildEarlyEdits(config, context);
  CheckRequestId(config, context);
  settings.edge = BuildEdge(config, context);
  settings.path = BuildPath(config);
  settings.default_host_http_10 = config.http_protocol_options().default_host_for_http_10();
  settings.strip_any_host_port = config.strip_any_host_port();
  settings.strip_matching_host_port = config.strip_matching_host_port();
  if (settings.strip_any_host_port && settings.strip_matching_host_port) {
    context.Error("strip_any_host_port", "cannot be combined with strip_matching_host_port");
  }
  if (config.common_http_protocol_options().has_max_response_headers_kb())
    context.Error("common_http_protocol_options.max_response_headers_kb", "is for clusters");
  if (config.has_local_reply_config()) {
    settings.local_replies =
        LocalReplies::Build(config.local_reply_config(), context.path + ".local_reply_config",
                            context.server.diagnostics, context.server.runtime);
  }
  settings.strip_trailing_host_dot = config.strip_trailing_host_dot();
  settings.request_id_in_response = config.always_set_request_id_in_response();
  ReadLogging(config, settings, context);
  for (const auto& upgrade : config.upgrade_configs()) {
    settings.upgrades.emplace_back(ToLower(upgrade.upgrade_type()),
                                   !upgrade.has_enabled() || upgrade.enabled().value());
  }
  settings.session = BuildSession(config, stats);
  CountCodec(context.server.stats, settings);
  settings.session.overload = context.server.overload;
  if (context.server.healthy != nullptr) settings.session.healthy = context.server.healthy;
  BuiltChain built = BuildChain(config, context);
  auto routes = BuildRoutes(config, built, context);
  auto logs = BuildAccessLogs(config.access_log(), context, "access_log");
  if (routes == nullptr) return NetworkFilterPtr();  // Its problems are reported.
  return std::make_unique<HttpConnectionManager>(std::move(settings), stats, std::move(built.chain),
                                                 std::move(routes), std::move(logs));
}

}  // namespace

void RegisterHttpConnectionManager(Registry& registry) {
  registry.AddTerminalNetworkFilter<Proto>("envoy.filters.network.http_connection_manager",
                                           Posture::kRobustToUntrustedBoth, Create);
}

}  // namespace sluice
