// /config_dump: the configuration in force, as envoy.admin.v3.ConfigDump. Main thread.
#include <memory>
#include <optional>

#include "api/envoy/admin/v3/config_dump.pb.h"
#include "api/envoy/admin/v3/config_dump_shared.pb.h"
#include "api/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "source/base/strings.h"
#include "source/config/known_api.h"
#include "source/config/redact.h"
#include "source/observe/match/match.h"
#include "source/server/admin/mask.h"
#include "source/server/admin/page.h"
#include "source/server/admin/proto.h"

namespace sluice::admin {
namespace {

namespace api = envoy::admin::v3;
namespace pb = google::protobuf;
using envoy::config::listener::v3::FilterChain;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

using Dump = std::unique_ptr<pb::Message>;

class Dumper {
 public:
  Dumper(const AdminContext& context, std::shared_ptr<const RE2> names)
      : context_(context), names_(std::move(names)), updated_(ToProto(context.started_at)) {}

  /// All parts in Envoy's order, which users' scripts rely on.
  std::vector<Dump> All(bool with_endpoints) const {
    std::vector<Dump> dumps;
    const std::vector<ClusterView> clusters = context_.clusters();
    const std::vector<ListenerView> listeners = context_.listeners();
    dumps.push_back(Bootstrap());
    dumps.push_back(Clusters(clusters));
    if (with_endpoints) dumps.push_back(Endpoints(clusters));
    dumps.push_back(Listeners(listeners));
    dumps.push_back(std::make_unique<api::ScopedRoutesConfigDump>());
    dumps.push_back(Routes(listeners));
    dumps.push_back(std::make_unique<api::SecretsConfigDump>());
    return dumps;
  }

 private:
  bool Wanted(std::string_view name) const { return names_ == nullptr || FullMatch(name, *names_); }

  Dump Bootstrap() const {
    auto dump = std::make_unique<api::BootstrapConfigDump>();
    *dump->mutable_bootstrap() = context_.bootstrap;
    *dump->mutable_last_updated() = updated_;
    return dump;
  }

  Dump Clusters(const std::vector<ClusterView>& clusters) const {
    auto dump = std::make_unique<api::ClustersConfigDump>();
    for (const ClusterView& cluster : clusters) {
      if (!Wanted(cluster.config->name())) continue;
      if (cluster.made_at.has_value()) {
        auto& one = *dump->add_dynamic_active_clusters();
        one.mutable_cluster()->PackFrom(*cluster.config);
        *one.mutable_last_updated() = ToProto(*cluster.made_at);
      } else {
        auto& one = *dump->add_static_clusters();
        one.mutable_cluster()->PackFrom(*cluster.config);
        *one.mutable_last_updated() = updated_;
      }
    }
    return dump;
  }

  Dump Endpoints(const std::vector<ClusterView>& clusters) const {
    auto dump = std::make_unique<api::EndpointsConfigDump>();
    for (const ClusterView& cluster : clusters) {
      if (!Wanted(cluster.config->name())) continue;
      auto& endpoints = cluster.made_at.has_value()
                            ? *dump->add_dynamic_endpoint_configs()->mutable_endpoint_config()
                            : *dump->add_static_endpoint_configs()->mutable_endpoint_config();
      endpoints.PackFrom(EndpointsOf(cluster));
    }
    return dump;
  }

  Dump Listeners(const std::vector<ListenerView>& listeners) const {
    auto dump = std::make_unique<api::ListenersConfigDump>();
    for (const ListenerView& listener : listeners) {
      if (listener.config == nullptr || !Wanted(listener.name)) continue;
      auto& one = *dump->add_static_listeners();
      one.mutable_listener()->PackFrom(*listener.config);
      *one.mutable_last_updated() = updated_;
    }
    return dump;
  }

  Dump Routes(const std::vector<ListenerView>& listeners) const {
    auto dump = std::make_unique<api::RoutesConfigDump>();
    for (const ListenerView& listener : listeners) {
      if (listener.config == nullptr) continue;
      for (const FilterChain& chain : listener.config->filter_chains()) AddRoutes(chain, *dump);
      if (listener.config->has_default_filter_chain())
        AddRoutes(listener.config->default_filter_chain(), *dump);
    }
    return dump;
  }

  void AddRoutes(const FilterChain& chain, api::RoutesConfigDump& dump) const {
    for (const auto& filter : chain.filters()) {
      HttpConnectionManager manager;
      if (!filter.typed_config().UnpackTo(&manager) || !manager.has_route_config()) continue;
      if (!Wanted(manager.route_config().name())) continue;
      auto& one = *dump.add_static_route_configs();
      one.mutable_route_config()->PackFrom(manager.route_config());
      *one.mutable_last_updated() = updated_;
    }
  }

  const AdminContext& context_;
  const std::shared_ptr<const RE2> names_;
  const pb::Timestamp updated_;
};

AdminReply ReplyOf(api::ConfigDump dump) {
  config::Redact(&dump);
  return JsonReply(dump);
}

// True where Envoy has such a list and we have nothing yet that could be in it.
bool IsKnownList(const std::string& type, const std::string& name) {
  const pb::Descriptor* known = config::KnownApi().FindMessageTypeByName(type);
  const pb::FieldDescriptor* field = known == nullptr ? nullptr : known->FindFieldByName(name);
  return field != nullptr && field->is_repeated();
}

// ?resource=static_clusters: the elements of one list.
AdminReply OneList(const std::vector<Dump>& dumps, const std::string& name,
                   const std::string& mask_text) {
  const Mask mask = Mask::Parse(mask_text);
  api::ConfigDump result;
  for (const Dump& dump : dumps) {
    const pb::FieldDescriptor* field = dump->GetDescriptor()->FindFieldByName(name);
    if (field == nullptr) {
      if (IsKnownList(dump->GetDescriptor()->full_name(), name)) return ReplyOf({});
      continue;
    }
    if (!field->is_repeated())
      return {400,
              Cat(name, " is not a repeated field. Use ?mask=", name, " to get only this field\n")};
    const pb::Reflection& reflection = *dump->GetReflection();
    for (int i = 0; i < reflection.FieldSize(*dump, field); ++i) {
      pb::Message* element = reflection.MutableRepeatedMessage(dump.get(), field, i);
      if (!mask.Trim(element))
        return {400, Cat("FieldMask ", mask_text, " could not be successfully used.\n")};
      result.add_configs()->PackFrom(*element);
    }
    return ReplyOf(std::move(result));
  }
  return {404, Cat(name, " not found in config dump\n")};
}

// Everything; with a mask those parts that have its fields.
AdminReply AllParts(const std::vector<Dump>& dumps, const std::string& mask_text) {
  const Mask mask = Mask::Parse(mask_text);
  api::ConfigDump result;
  for (const Dump& dump : dumps) {
    if (mask.Trim(dump.get())) result.add_configs()->PackFrom(*dump);
  }
  if (result.configs_size() == 0)
    return {400,
            Cat("FieldMask ", mask_text, " could not be successfully applied to any configs.\n")};
  return ReplyOf(std::move(result));
}

}  // namespace

AdminReply ConfigDumpPage(const AdminRequest& request, const AdminContext& context) {
  std::shared_ptr<const RE2> names;
  if (request.Has("name_regex")) {
    auto compiled = CompileRegex(request.Get("name_regex"));
    if (!compiled.ok()) return {400, Cat("name_regex: ", Std(compiled.status().message()), "\n")};
    names = *std::move(compiled);
  }
  const std::vector<Dump> dumps = Dumper(context, std::move(names)).All(request.Has("include_eds"));
  const std::string mask(request.Get("mask"));
  if (request.Has("resource")) return OneList(dumps, std::string(request.Get("resource")), mask);
  return AllParts(dumps, mask);
}

}  // namespace sluice::admin
