// Operators that print metadata: of the request, its route, its cluster, its host. Stateless, any
// thread.
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "api/envoy/config/core/v3/base.pb.h"
#include "source/base/strings.h"
#include "source/observe/format/json_string.h"
#include "source/observe/format/operators.h"

namespace sluice::format_internal {
namespace {

using envoy::config::core::v3::Metadata;

void AppendJson(const google::protobuf::Value& value, std::string* out);

void AppendJson(const google::protobuf::Struct& object, std::string* out) {
  std::map<std::string_view, const google::protobuf::Value*> sorted;
  for (const auto& [key, value] : object.fields()) {
    sorted.emplace(key, &value);
  }
  const char* separator = "{";
  for (const auto& [key, value] : sorted) {
    out->append(separator);
    AppendJsonString(key, out);
    out->push_back(':');
    AppendJson(*value, out);
    separator = ",";
  }
  out->append(sorted.empty() ? "{}" : "}");
}

void AppendJson(const google::protobuf::Value& value, std::string* out) {
  using google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kStringValue:
      return AppendJsonString(value.string_value(), out);
    case Value::kNumberValue: {
      char text[32];
      const double number = value.number_value();
      const bool whole = number == std::floor(number) && std::fabs(number) < 1e15;
      if (!std::isfinite(number)) {
        out->append("null");
      } else if (whole) {
        out->append(text,
                    std::to_chars(text, text + sizeof(text), static_cast<int64_t>(number)).ptr);
      } else {
        out->append(text, std::to_chars(text, text + sizeof(text), number).ptr);
      }
      return;
    }
    case Value::kBoolValue:
      out->append(value.bool_value() ? "true" : "false");
      return;
    case Value::kStructValue:
      return AppendJson(value.struct_value(), out);
    case Value::kListValue: {
      const char* separator = "[";
      for (const Value& item : value.list_value().values()) {
        out->append(separator);
        AppendJson(item, out);
        separator = ",";
      }
      out->append(value.list_value().values().empty() ? "[]" : "]");
      return;
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      out->append("null");
  }
}

// NAMESPACE or NAMESPACE:KEY:KEY...
absl::Status CompileMetadata(const std::string_view* argument, Operator* op) {
  if (argument == nullptr || argument->empty()) {
    return Invalid("takes NAMESPACE or NAMESPACE:KEY:...");
  }
  size_t start = 0;
  while (start <= argument->size()) {
    const size_t end = std::min(argument->find(':', start), argument->size());
    op->path.emplace_back(argument->substr(start, end - start));
    start = end + 1;
  }
  op->text = op->path.front();
  op->path.erase(op->path.begin());
  return absl::OkStatus();
}

// What stands below the operator's path in `object`; null: nothing.
Rendered AppendMetadata(const Operator& op, const google::protobuf::Struct* object,
                        std::string* out) {
  using google::protobuf::Value;
  const Value* value = nullptr;
  for (const std::string& key : op.path) {
    if (value != nullptr) {
      object = value->kind_case() == Value::kStructValue ? &value->struct_value() : nullptr;
    }
    if (object == nullptr) {
      return Rendered::kMissing;
    }
    const auto found = object->fields().find(key);
    if (found == object->fields().end()) {
      return Rendered::kMissing;
    }
    value = &found->second;
  }
  if (object == nullptr) {
    return Rendered::kMissing;
  }
  if (value == nullptr) {
    AppendJson(*object, out);
    return Rendered::kJson;
  }
  if (value->kind_case() == Value::kNullValue) {
    return Rendered::kMissing;
  }
  // An empty one is there, too.
  if (value->kind_case() == Value::kStringValue) {
    out->append(value->string_value());
    return Rendered::kString;
  }
  AppendJson(*value, out);
  return Rendered::kJson;
}

Rendered DynamicMetadata(const Operator& op, const LogContext& context, std::string* out) {
  return AppendMetadata(op, context.exchange.metadata(op.text), out);
}

Rendered AppendSpace(const Operator& op, const Metadata* metadata, std::string* out) {
  if (metadata == nullptr) return Rendered::kMissing;
  const auto& spaces = metadata->filter_metadata();
  const auto found = spaces.find(op.text);
  return AppendMetadata(op, found == spaces.end() ? nullptr : &found->second, out);
}

Rendered RouteMetadata(const Operator& op, const LogContext& context, std::string* out) {
  const RouteBase* route = context.exchange.route();
  return AppendSpace(op, route == nullptr ? nullptr : route->metadata.get(), out);
}

// Of the cluster that the request went to, else of the one that its route names.
Rendered ClusterMetadata(const Operator& op, const LogContext& context, std::string* out) {
  const auto* cluster = context.exchange.upstream.cluster;
  const RouteBase* route = context.exchange.route();
  if (cluster == nullptr && route != nullptr) cluster = route->cluster;
  return AppendSpace(op, cluster == nullptr ? nullptr : &cluster->metadata(), out);
}

Rendered HostMetadata(const Operator& op, const LogContext& context, std::string* out) {
  const auto& host = context.exchange.upstream.host;
  return AppendSpace(op, host == nullptr ? nullptr : host->all_metadata.get(), out);
}

Rendered VirtualHostMetadata(const Operator& op, const LogContext& context, std::string* out) {
  const RouteBase* route = context.exchange.route();
  return AppendSpace(op, route == nullptr ? nullptr : route->host_metadata.get(), out);
}

Rendered ListenerMetadata(const Operator& op, const LogContext& context, std::string* out) {
  return AppendSpace(op, context.exchange.connection().chain->listener_metadata.get(), out);
}

Rendered ChainMetadata(const Operator& op, const LogContext& context, std::string* out) {
  return AppendSpace(op, context.exchange.connection().chain->metadata.get(), out);
}

// METADATA(TYPE:NAMESPACE:KEY:...).
struct MetadataType {
  std::string_view name;
  Operator::Render render;
};
constexpr MetadataType kTypes[] = {{"DYNAMIC", DynamicMetadata},
                                   {"ROUTE", RouteMetadata},
                                   {"CLUSTER", ClusterMetadata},
                                   {"UPSTREAM_HOST", HostMetadata},
                                   {"VIRTUAL_HOST", VirtualHostMetadata},
                                   {"LISTENER", ListenerMetadata},
                                   {"LISTENER_FILTER_CHAIN", ChainMetadata}};

absl::Status CompileTypedMetadata(const std::string_view* argument, Operator* op) {
  const std::string_view text = argument == nullptr ? "" : *argument;
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view name = text.substr(0, colon);
  const auto type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const MetadataType& type) { return type.name == name; });
  if (type == std::end(kTypes))
    return Invalid(
        "takes TYPE:NAMESPACE:KEY..., TYPE being DYNAMIC, ROUTE, CLUSTER, UPSTREAM_HOST, "
        "VIRTUAL_HOST, LISTENER or LISTENER_FILTER_CHAIN");
  const std::string_view rest = text.substr(std::min(colon + 1, text.size()));
  op->option = static_cast<int>(type - std::begin(kTypes));
  return CompileMetadata(&rest, op);
}

Rendered TypedMetadata(const Operator& op, const LogContext& context, std::string* out) {
  return kTypes[op.option].render(op, context, out);
}

}  // namespace

absl::Span<const OperatorType> MetadataOperators() {
  static constexpr OperatorType kOperators[] = {
      {"DYNAMIC_METADATA", CompileMetadata, DynamicMetadata, true},
      {"CLUSTER_METADATA", CompileMetadata, ClusterMetadata, true},
      {"UPSTREAM_METADATA", CompileMetadata, HostMetadata, true},
      {"METADATA", CompileTypedMetadata, TypedMetadata, true},
  };
  return kOperators;
}

}  // namespace sluice::format_internal
