// See listener_factory.h.
#include "source/server/listener_factory.h"

#include "source/extension/registry.h"
#include "source/server/cluster_factory.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::listener::v3;

std::vector<std::unique_ptr<const NetworkFilter>> BuildFilters(const v3::FilterChain& chain,
                                                               const std::string& path,
                                                               ServerContext& server) {
  std::vector<std::unique_ptr<const NetworkFilter>> filters;
  if (chain.filters().empty())
    server.diagnostics.Error(path, "a filter chain needs at least one filter");
  for (int i = 0; i < chain.filters_size(); ++i) {
    const auto& filter = chain.filters(i);
    const std::string filter_path = Cat(path, ".filters[", i, "]");
    const auto* entry =
        server.registry.network_filters().Find(filter.name(), filter.typed_config().type_url());
    if (entry == nullptr) {
      server.diagnostics.Error(filter_path,
                               Cat("Didn't find a registered implementation for '", filter.name(),
                                   "' with type URL: '", filter.typed_config().type_url(), "'"));
      continue;
    }
    FactoryContext context{server, filter_path + ".typed_config", server.stats.Root()};
    auto made = entry->create(filter.typed_config(), context);
    if (!made.ok()) {
      context.Error("", Std(made.status().message()));
      continue;
    }
    filters.push_back(*std::move(made));
  }
  return filters;
}

// The one chain there may be; null with a problem.
const v3::FilterChain* OnlyChain(const v3::Listener& config, const std::string& path,
                                 ServerContext& server, std::string* chain_path) {
  const int count = config.filter_chains_size() + (config.has_default_filter_chain() ? 1 : 0);
  if (count == 1) {
    *chain_path =
        path + (config.has_default_filter_chain() ? ".default_filter_chain" : ".filter_chains[0]");
    return config.has_default_filter_chain() ? &config.default_filter_chain()
                                             : &config.filter_chains(0);
  }
  server.diagnostics.Error(path + ".filter_chains",
                           count == 0
                               ? "no filter chains specified"
                               : "several filter chains need a filter_chain_match, which is not "
                                 "supported yet: keep one");
  return nullptr;
}

void ReadAddress(const envoy::config::core::v3::Address& config, const std::string& path,
                 ServerContext& server, ListenerSettings& settings) {
  auto address = AddressOf(config);
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
  settings.name = config.name();
  if (settings.name.empty() && !settings.addresses.empty())
    settings.name = settings.addresses.front().ToString();
  settings.stat_prefix = config.stat_prefix();
  if (config.has_tcp_backlog_size())
    settings.options.backlog = static_cast<int>(config.tcp_backlog_size().value());
  if (config.has_per_connection_buffer_limit_bytes())
    settings.buffer_limit = std::max(config.per_connection_buffer_limit_bytes().value(), 1024u);
  settings.options.reuse_port =
      !config.has_enable_reuse_port() || config.enable_reuse_port().value();
  if (config.has_max_connections_to_accept_per_socket_event()) {
    settings.accepts_per_event = config.max_connections_to_accept_per_socket_event().value();
  }
  settings.counts_globally = !config.ignore_global_conn_limit();
  if (!config.bypass_overload_manager()) settings.overload = server.overload;
  std::string chain_path;
  const v3::FilterChain* chain = OnlyChain(config, path, server, &chain_path);
  if (chain == nullptr) return nullptr;
  settings.filter_chain_name = chain->name();
  auto filters = BuildFilters(*chain, chain_path, server);
  return std::make_unique<Listener>(std::move(settings), config, std::move(filters), server.stats,
                                    budget);
}

}  // namespace sluice
