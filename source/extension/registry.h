// Registry: which extensions this binary has. Filled once, before anything is loaded, by
// extensions/builtin.cc (and by whoever embeds Sluice); read on the main thread. A factory turns
// one configuration message into one immutable object.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/any.pb.h>

#include "absl/status/statusor.h"
#include "source/extension/factory_context.h"
#include "source/extension/listener_filter.h"
#include "source/extension/network_filter.h"
#include "source/http/filter.h"
#include "source/observe/access_log/access_log.h"
#include "source/upstream/cluster.h"

namespace sluice {

/// What the authors promise about an extension when its peer is hostile; logged when the process
/// starts.
enum class Posture { kRobustToUntrustedDownstream, kRobustToUntrustedBoth, kTrustedOnly };

template <class Product, class Context>
using Factory = std::function<absl::StatusOr<Product>(const google::protobuf::Any&, Context&)>;

/// One kind of extension: an ordered table, searched by type URL first and by name second, as Envoy
/// does.
template <class Product, class Context = FactoryContext>
class Category {
 public:
  struct Entry {
    std::string name;        // "envoy.filters.http.router"
    std::string type;        // full name of the configuration message
    std::string route_type;  // of the per-route message; empty when there is none
    Posture posture;
    Factory<Product, Context> create;
    Factory<std::shared_ptr<const void>, FactoryContext> create_route;
    bool terminal = false;
  };

  void Add(Entry entry) { entries_.push_back(std::move(entry)); }
  const std::vector<Entry>& entries() const { return entries_; }

  /// The entry for a typed_config of that type URL; where it is empty, the one of that name. Null
  /// when there is none.
  const Entry* Find(std::string_view name, std::string_view type_url) const {
    const std::string_view type = type_url.substr(type_url.rfind('/') + 1);
    for (const Entry& entry : entries_) {
      if (type.empty() ? entry.name == name : entry.type == type) return &entry;
    }
    return nullptr;
  }

 private:
  std::vector<Entry> entries_;
};

using FilterPtr = std::unique_ptr<const Filter>;
using NetworkFilterPtr = std::unique_ptr<const NetworkFilter>;
using ListenerFilterPtr = std::unique_ptr<const ListenerFilter>;
using AccessLoggerPtr = std::shared_ptr<const AccessLogger>;
/// What a bootstrap extension leaves behind; lives as long as the server.
using BootstrapExtensionPtr = std::shared_ptr<const void>;

class Registry {
 public:
  /// Registers an HTTP filter: `create` is called with its message once per place in a chain.
  template <class Proto, class Create>
  void AddHttpFilter(std::string_view name, Posture posture, Create create) {
    http_filters_.Add(MakeEntry<FilterPtr, Proto>(name, posture, std::move(create)));
  }
  /// The same with a per-route message, which `create_route` turns into what Next::RouteConfig<T>()
  /// returns: it gives an absl::StatusOr<std::shared_ptr<const T>>.
  template <class Proto, class RouteProto, class Create, class CreateRoute>
  void AddHttpFilter(std::string_view name, Posture posture, Create create,
                     CreateRoute create_route) {
    auto entry = MakeEntry<FilterPtr, Proto>(name, posture, std::move(create));
    entry.route_type = RouteProto::descriptor()->full_name();
    entry.create_route =
        Unpacking<std::shared_ptr<const void>, RouteProto, FactoryContext>(std::move(create_route));
    http_filters_.Add(std::move(entry));
  }
  /// A filter that answers every request itself and stands last.
  template <class Proto, class Create>
  void AddTerminalHttpFilter(std::string_view name, Posture posture, Create create) {
    auto entry = MakeEntry<FilterPtr, Proto>(name, posture, std::move(create));
    entry.terminal = true;
    http_filters_.Add(std::move(entry));
  }
  template <class Proto, class Create>
  void AddNetworkFilter(std::string_view name, Posture posture, Create create) {
    network_filters_.Add(MakeEntry<NetworkFilterPtr, Proto>(name, posture, std::move(create)));
  }
  /// A filter that keeps its connections, instead of handing them on, and stands last.
  template <class Proto, class Create>
  void AddTerminalNetworkFilter(std::string_view name, Posture posture, Create create) {
    auto entry = MakeEntry<NetworkFilterPtr, Proto>(name, posture, std::move(create));
    entry.terminal = true;
    network_filters_.Add(std::move(entry));
  }
  template <class Proto, class Create>
  void AddListenerFilter(std::string_view name, Posture posture, Create create) {
    listener_filters_.Add(MakeEntry<ListenerFilterPtr, Proto>(name, posture, std::move(create)));
  }
  template <class Proto, class Create>
  void AddAccessLogger(std::string_view name, Create create) {
    access_loggers_.Add(MakeEntry<AccessLoggerPtr, Proto>(name, Posture::kRobustToUntrustedBoth,
                                                          std::move(create)));
  }
  template <class Proto, class Create>
  void AddBalancer(std::string_view name, Create create) {
    balancers_.Add(MakeEntry<std::unique_ptr<const Balancer>, Proto>(
        name, Posture::kRobustToUntrustedBoth, std::move(create)));
  }
  /// A cluster type (Cluster.cluster_type): `create` is given a ClusterFactoryContext.
  template <class Proto, class Create>
  void AddCluster(std::string_view name, Create create) {
    clusters_.Add(MakeEntry<std::shared_ptr<Cluster>, Proto, ClusterFactoryContext>(
        name, Posture::kRobustToUntrustedBoth, std::move(create)));
  }
  /// A process-wide extension (Bootstrap.bootstrap_extensions); made before the clusters and
  /// listeners.
  template <class Proto, class Create>
  void AddBootstrapExtension(std::string_view name, Create create) {
    bootstrap_extensions_.Add(MakeEntry<BootstrapExtensionPtr, Proto>(
        name, Posture::kRobustToUntrustedBoth, std::move(create)));
  }

  const Category<FilterPtr>& http_filters() const { return http_filters_; }
  const Category<NetworkFilterPtr>& network_filters() const { return network_filters_; }
  const Category<ListenerFilterPtr>& listener_filters() const { return listener_filters_; }
  const Category<AccessLoggerPtr>& access_loggers() const { return access_loggers_; }
  const Category<std::unique_ptr<const Balancer>>& balancers() const { return balancers_; }
  const Category<std::shared_ptr<Cluster>, ClusterFactoryContext>& clusters() const {
    return clusters_;
  }
  const Category<BootstrapExtensionPtr>& bootstrap_extensions() const {
    return bootstrap_extensions_;
  }

 private:
  template <class Product, class Proto, class Context, class Create>
  static Factory<Product, Context> Unpacking(Create create) {
    return [create](const google::protobuf::Any& any, Context& context) -> absl::StatusOr<Product> {
      Proto proto;
      if (!any.value().empty() && !any.UnpackTo(&proto)) {
        return absl::InvalidArgumentError("does not hold a " + Proto::descriptor()->full_name());
      }
      auto product = create(static_cast<const Proto&>(proto), context);
      if (!product.ok()) return product.status();
      return Product(*std::move(product));
    };
  }
  template <class Product, class Proto, class Context = FactoryContext, class Create>
  static typename Category<Product, Context>::Entry MakeEntry(std::string_view name,
                                                              Posture posture, Create create) {
    return {std::string(name),
            Proto::descriptor()->full_name(),
            "",
            posture,
            Unpacking<Product, Proto, Context>(std::move(create)),
            nullptr};
  }

  Category<FilterPtr> http_filters_;
  Category<NetworkFilterPtr> network_filters_;
  Category<ListenerFilterPtr> listener_filters_;
  Category<AccessLoggerPtr> access_loggers_;
  Category<std::unique_ptr<const Balancer>> balancers_;
  Category<std::shared_ptr<Cluster>, ClusterFactoryContext> clusters_;
  Category<BootstrapExtensionPtr> bootstrap_extensions_;
};

/// What `config`, a message with a name and a typed_config, describes: the extension of that kind,
/// built; nothing where there is none or it refuses, after the error at `path` or below.
template <class Product, class Config>
std::optional<Product> BuildExtension(const Category<Product>& kind, const Config& config,
                                      const std::string& path, ServerContext& server,
                                      const stats::Scope& scope) {
  const auto* entry = kind.Find(config.name(), config.typed_config().type_url());
  if (entry == nullptr) {
    server.diagnostics.Error(
        path, config::NotRegistered(config.name(), config.typed_config().type_url()));
    return std::nullopt;
  }
  FactoryContext context{server, path + ".typed_config", scope};
  auto made = entry->create(config.typed_config(), context);
  if (made.ok()) return *std::move(made);
  context.Error("", Std(made.status().message()));
  return std::nullopt;
}

}  // namespace sluice
