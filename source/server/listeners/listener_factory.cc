// See listener_factory.h.
#include "source/server/listeners/listener_factory.h"

#include <map>

#include "source/config/address.h"
#include "source/config/durations.h"
#include "source/extension/access_logs.h"
#include "source/extension/registry.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::listener::v3;

// Builds what `configs` name, each by the factory of its kind; `path` is that of the list.
template <class Filter, class Configs>
std::vector<Filter> BuildFilters(const Configs& configs, const std::string& path,
                                 const Category<Filter>& kind, ServerContext& server) {
  std::vector<Filter> filters;
  for (int i = 0; i < configs.size(); ++i) {
    auto filter =
        BuildExtension(kind, configs[i], Cat(path, "[", i, "]"), server, server.stats.Root());
    if (filter.has_value()) filters.push_back(*std::move(filter));
  }
  return filters;
}

template <class Config>
std::shared_ptr<const envoy::config::core::v3::Metadata> MetadataOf(const Config& config) {
  if (!config.has_metadata()) return nullptr;
  return std::make_shared<const envoy::config::core::v3::Metadata>(config.metadata());
}

size_t BufferLimitOf(const v3::Listener& config) {
  if (!config.has_per_connection_buffer_limit_bytes()) return ListenerSettings().buffer_limit;
  return std::max(config.per_connection_buffer_limit_bytes().value(), 1024u);
}

// A chain ends in the one filter that keeps its connections: without it they would end unserved,
// and what stood behind it would never see them.
void CheckOrder(const v3::FilterChain& config, const std::string& path, ServerContext& server) {
  const int last = config.filters_size() - 1;
  for (int i = 0; i <= last; ++i) {
    const v3::Filter& filter = config.filters(i);
    const auto* entry =
        server.registry.network_filters().Find(filter.name(), filter.typed_config().type_url());
    if (entry == nullptr || entry->terminal == (i == last)) continue;
    server.diagnostics.Error(Cat(path, ".filters[", i, "]"),
                             entry->terminal
                                 ? "a terminal filter must be the last one"
                                 : "the last filter must be a terminal one: add "
                                   "envoy.filters.network.http_connection_manager or tcp_proxy");
  }
}

NetworkChain BuildChain(const v3::FilterChain& config, const v3::Listener& listener,
                        const std::string& path, ServerContext& server) {
  if (config.filters().empty())
    server.diagnostics.Error(path, "a filter chain needs at least one filter");
  CheckOrder(config, path, server);
  const size_t buffer_limit = BufferLimitOf(listener);
  return {
      {config.name(), MetadataOf(config), MetadataOf(listener), buffer_limit},
      BuildFilters(config.filters(), path + ".filters", server.registry.network_filters(), server)};
}

FilterChainTable BuildChains(const v3::Listener& config, const std::string& path,
                             ServerContext& server) {
  FilterChainTable table;
  std::map<std::string, std::string> seen;  // serialised match -> its chain's path
  for (int i = 0; i < config.filter_chains_size(); ++i) {
    const v3::FilterChain& chain = config.filter_chains(i);
    const std::string chain_path = Cat(path, ".filter_chains[", i, "]");
    auto match = ChainMatch::Of(chain.filter_chain_match());
    if (!match.ok()) {
      server.diagnostics.Error(chain_path + ".filter_chain_match", Std(match.status().message()));
      continue;
    }
    const auto [before, is_new] =
        seen.emplace(chain.filter_chain_match().SerializeAsString(), chain_path);
    if (!is_new) {
      server.diagnostics.Error(chain_path + ".filter_chain_match",
                               Cat("has the same matching rules as ", before->second));
    }
    table.Add(*std::move(match), BuildChain(chain, config, chain_path, server));
  }
  if (config.has_default_filter_chain()) {
    const std::string chain_path = path + ".default_filter_chain";
    if (config.default_filter_chain().has_filter_chain_match())
      server.diagnostics.Error(chain_path + ".filter_chain_match", "the default chain has none");
    table.SetDefault(BuildChain(config.default_filter_chain(), config, chain_path, server));
  } else if (config.filter_chains().empty()) {
    server.diagnostics.Error(path + ".filter_chains", "no filter chains specified");
  }
  return table;
}

void ReadSocketOptions(const v3::Listener& config, const std::string& path, ServerContext& server,
                       ListenOptions& options) {
  for (int i = 0; i < config.socket_options_size(); ++i) {
    const auto& option = config.socket_options(i);
    SocketOption made;
    made.level = static_cast<int>(option.level());
    made.name = static_cast<int>(option.name());
    made.when = static_cast<SocketOption::When>(option.state());
    made.value = option.buf_value();
    if (option.has_int_value()) {
      const int value = static_cast<int>(option.int_value());
      if (value != option.int_value())
        server.diagnostics.Error(Cat(path, ".socket_options[", i, "].int_value"),
                                 "is too large for an int");
      made.value.assign(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    options.more.push_back(std::move(made));
  }
  options.freebind = config.freebind().value();
  options.transparent = config.transparent().value();
  if (config.has_tcp_fast_open_queue_length())
    options.fast_open_queue = static_cast<int>(config.tcp_fast_open_queue_length().value());
  if (!config.has_tcp_keepalive()) return;
  DialOptions::KeepAlive& keep_alive = options.keep_alive.emplace();
  if (config.tcp_keepalive().has_keepalive_probes())
    keep_alive.probes = static_cast<int>(config.tcp_keepalive().keepalive_probes().value());
  if (config.tcp_keepalive().has_keepalive_time())
    keep_alive.idle_seconds = static_cast<int>(config.tcp_keepalive().keepalive_time().value());
  if (config.tcp_keepalive().has_keepalive_interval())
    keep_alive.interval_seconds =
        static_cast<int>(config.tcp_keepalive().keepalive_interval().value());
}

void ReadAddress(const envoy::config::core::v3::Address& config, const std::string& path,
                 ServerContext& server, ListenerSettings& settings) {
  auto address = config::AddressOf(config);
  if (!address.ok()) return server.diagnostics.Error(path, Std(address.status().message()));
  if (config.has_pipe()) settings.options.unix_mode = config.pipe().mode();
  settings.addresses.push_back(*address);
}

}  // namespace

std::unique_ptr<Listener> BuildListener(const v3::Listener& config, const std::string& path,
                                        ServerContext& server, ConnectionBudget& budget) {
  ListenerSettings settings;
  if (!config.has_address()) {
    server.diagnostics.Error(path + ".address", "a listener needs an address");
    return nullptr;
  }
  const bool bind = !config.has_bind_to_port() || config.bind_to_port().value();
  if (bind) ReadAddress(config.address(), path + ".address", server, settings);
  for (int i = 0; bind && i < config.additional_addresses_size(); ++i) {
    ReadAddress(config.additional_addresses(i).address(),
                Cat(path, ".additional_addresses[", i, "].address"), server, settings);
  }
  FactoryContext factory{server, path, server.stats.Root()};
  settings.access_logs = BuildAccessLogs(config.access_log(), factory, "access_log");
  settings.name = config.name();
  if (settings.name.empty() && !settings.addresses.empty())
    settings.name = settings.addresses.front().ToString();
  settings.stat_prefix = config.stat_prefix();
  if (config.has_tcp_backlog_size())
    settings.options.backlog = static_cast<int>(config.tcp_backlog_size().value());
  settings.buffer_limit = BufferLimitOf(config);
  settings.options.reuse_port =
      !config.has_enable_reuse_port() || config.enable_reuse_port().value();
  if (config.has_max_connections_to_accept_per_socket_event()) {
    settings.accepts_per_event = config.max_connections_to_accept_per_socket_event().value();
  }
  settings.max_connections = config::RuntimeUInt32(
      server.runtime, Cat("envoy.resource_limits.listener.", config.name(), ".connection_limit"),
      UINT32_MAX);
  settings.counts_globally = !config.ignore_global_conn_limit();
  if (!config.bypass_overload_manager()) settings.overload = server.overload;
  ReadSocketOptions(config, path, server, settings.options);
  if (config.has_listener_filters_timeout())
    settings.listener_filters_timeout = config::ToDuration(config.listener_filters_timeout());
  settings.continue_on_listener_filters_timeout = config.continue_on_listener_filters_timeout();
  auto listener_filters = BuildFilters(config.listener_filters(), path + ".listener_filters",
                                       server.registry.listener_filters(), server);
  for (const ListenerFilterPtr& filter : listener_filters) {
    if (filter->wants_original_destination()) settings.options.original_destination = true;
  }
  return std::make_unique<Listener>(std::move(settings), config, std::move(listener_filters),
                                    BuildChains(config, path, server), server.stats, budget);
}

}  // namespace sluice
