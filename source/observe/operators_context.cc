// Operators that print what surrounds a request: route, connection, upstream, metadata, the
// process. Stateless, any thread.
#include <google/protobuf/struct.pb.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <random>

#include "api/envoy/config/core/v3/base.pb.h"
#include "source/base/strings.h"
#include "source/observe/json.h"
#include "source/observe/operators.h"

namespace sluice::format_internal {
namespace {

template <std::string UpstreamFacts::* kMember>
Rendered Upstream(const Operator&, const LogContext& context, std::string* out) {
  return AppendText(context.exchange.upstream.*kMember, out);
}

// The cluster that the route names, where no connection was tried.
Rendered UpstreamCluster(const Operator&, const LogContext& context, std::string* out) {
  const std::string& name = context.exchange.upstream.cluster_name;
  const RouteBase* route = context.exchange.route();
  return AppendText(name.empty() && route != nullptr ? route->cluster_name : name, out);
}

template <std::string ConnectionFacts::* kMember>
Rendered Connection(const Operator&, const LogContext& context, std::string* out) {
  return AppendText(context.exchange.connection().*kMember, out);
}

Rendered UpstreamConnectionId(const Operator&, const LogContext& context, std::string* out) {
  const uint64_t id = context.exchange.upstream.connection_id;
  return id == 0 ? Rendered::kMissing : AppendNumber(id, out);
}

Rendered RouteName(const Operator&, const LogContext& context, std::string* out) {
  const RouteBase* route = context.exchange.route();
  return route == nullptr ? Rendered::kMissing : AppendText(route->name, out);
}

Rendered VirtualCluster(const Operator&, const LogContext& context, std::string* out) {
  return AppendText(context.exchange.upstream.virtual_cluster, out);
}

Rendered Constant(const Operator& op, const LogContext&, std::string* out) {
  return AppendText(op.text, out);
}

absl::Status CompileHostname(const std::string_view* argument, Operator* op) {
  if (argument != nullptr && !argument->empty()) {
    return Invalid("takes no argument");
  }
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0) {
    op->text = name;
  }
  return absl::OkStatus();
}

absl::Status CompileEnvironment(const std::string_view* argument, Operator* op) {
  if (argument == nullptr || argument->empty()) {
    return Invalid("takes the name of an environment variable");
  }
  const char* value = std::getenv(std::string(*argument).c_str());
  op->text = value == nullptr ? "" : value;
  return absl::OkStatus();
}

// A random UUID (RFC 9562, version 4). To tell lines apart, not to be a secret.
Rendered UniqueId(const Operator&, const LogContext&, std::string* out) {
  thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) |
                                      std::random_device{}()};
  constexpr char kHex[] = "0123456789abcdef";
  const uint64_t words[2] = {(random() & ~uint64_t{0xf000}) | 0x4000,
                             (random() >> 2) | (uint64_t{1} << 63)};
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) {
      out->push_back('-');
    }
    out->push_back(kHex[(words[i / 16] >> (60 - 4 * (i % 16))) & 15]);
  }
  return Rendered::kString;
}

// --- Metadata and filter state ---

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
  if (value->kind_case() == Value::kStringValue) {
    return AppendText(value->string_value(), out);
  }
  AppendJson(*value, out);
  return Rendered::kJson;
}

// KEY, KEY:PLAIN or KEY:TYPED. The last two differ in text only: TYPED (the default) is JSON, so a
// string has quotes.
constexpr int kPlain = 1;

Rendered DynamicMetadata(const Operator& op, const LogContext& context, std::string* out) {
  return AppendMetadata(op, context.exchange.metadata(op.text), out);
}

// METADATA(TYPE:NAMESPACE:KEY:...): of the request or of its route.
absl::Status CompileTypedMetadata(const std::string_view* argument, Operator* op) {
  const std::string_view text = argument == nullptr ? "" : *argument;
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view type = text.substr(0, colon);
  if (type != "DYNAMIC" && type != "ROUTE")
    return Invalid("takes DYNAMIC:NAMESPACE:KEY... or ROUTE:NAMESPACE:KEY...");
  const std::string_view rest = text.substr(std::min(colon + 1, text.size()));
  op->option = type == "ROUTE";
  return CompileMetadata(&rest, op);
}

Rendered TypedMetadata(const Operator& op, const LogContext& context, std::string* out) {
  if (op.option == 0) return DynamicMetadata(op, context, out);
  const RouteBase* route = context.exchange.route();
  if (route == nullptr || route->metadata == nullptr) return Rendered::kMissing;
  const auto& spaces = route->metadata->filter_metadata();
  const auto found = spaces.find(op.text);
  return AppendMetadata(op, found == spaces.end() ? nullptr : &found->second, out);
}

absl::Status CompileFilterState(const std::string_view* argument, Operator* op) {
  if (argument == nullptr || argument->empty()) {
    return Invalid("takes KEY, KEY:PLAIN or KEY:TYPED");
  }
  const size_t colon = std::min(argument->find(':'), argument->size());
  op->text = argument->substr(0, colon);
  const std::string_view form = colon == argument->size() ? "TYPED" : argument->substr(colon + 1);
  if (form.substr(0, 5) == "FIELD") {
    return Invalid("FIELD is not supported yet");
  }
  if (form != "PLAIN" && form != "TYPED") {
    return Invalid("takes KEY, KEY:PLAIN or KEY:TYPED, not '", *argument, "'");
  }
  op->option = form == "PLAIN" ? kPlain : 0;
  return absl::OkStatus();
}

Rendered FilterState(const Operator& op, const LogContext& context, std::string* out) {
  const FilterStateObject* object = context.exchange.filter_state(op.text);
  if (object == nullptr) {
    return Rendered::kMissing;
  }
  if (op.option == kPlain) {
    return AppendText(object->ToString(), out);
  }
  const std::string json = object->ToJson();
  if (json.empty()) {
    AppendJsonString(object->ToString(), out);
  } else {
    *out += json;
  }
  return Rendered::kJson;
}

// No filter here leaves a state with an upstream connection.
Rendered UpstreamFilterState(const Operator&, const LogContext&, std::string*) {
  return Rendered::kMissing;
}

Rendered Attempts(const Operator&, const LogContext& c, std::string* out) {
  return AppendNumber(c.exchange.upstream.attempts, out);
}
Rendered ConnectionId(const Operator&, const LogContext& c, std::string* out) {
  return AppendNumber(c.exchange.connection().id, out);
}
Rendered StreamId(const Operator&, const LogContext& c, std::string* out) {
  return AppendNumber(c.exchange.stream_id, out);
}
Rendered LogType(const Operator&, const LogContext& c, std::string* out) {
  return AppendText(c.log_type, out);
}

}  // namespace

absl::Span<const OperatorType> ContextOperators() {
  static constexpr OperatorType kOperators[] = {
      {"UPSTREAM_CLUSTER", nullptr, UpstreamCluster, true},
      {"UPSTREAM_CLUSTER_RAW", nullptr, UpstreamCluster, true},
      {"UPSTREAM_TRANSPORT_FAILURE_REASON", nullptr, Upstream<&UpstreamFacts::transport_failure>,
       true},
      {"UPSTREAM_REQUEST_ATTEMPT_COUNT", nullptr, Attempts, false},
      {"UPSTREAM_CONNECTION_ID", nullptr, UpstreamConnectionId, false},
      {"CONNECTION_ID", nullptr, ConnectionId, false},
      {"STREAM_ID", nullptr, StreamId, false},
      {"REQUESTED_SERVER_NAME", nullptr, Connection<&ConnectionFacts::requested_server_name>, true},
      {"FILTER_CHAIN_NAME", nullptr, Connection<&ConnectionFacts::filter_chain_name>, true},
      {"ROUTE_NAME", nullptr, RouteName, true},
      {"VIRTUAL_CLUSTER_NAME", nullptr, VirtualCluster, true},
      {"ACCESS_LOG_TYPE", nullptr, LogType, true},
      {"HOSTNAME", CompileHostname, Constant, true},
      {"ENVIRONMENT", CompileEnvironment, Constant, true},
      {"UNIQUE_ID", nullptr, UniqueId, true},
      {"DYNAMIC_METADATA", CompileMetadata, DynamicMetadata, true},
      {"METADATA", CompileTypedMetadata, TypedMetadata, true},
      {"FILTER_STATE", CompileFilterState, FilterState, true},
      {"UPSTREAM_FILTER_STATE", CompileFilterState, UpstreamFilterState, true},
  };
  return kOperators;
}

}  // namespace sluice::format_internal
