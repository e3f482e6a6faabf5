// From the tree to those messages that have a JSON form of their own: durations, wrappers, structs,
// Any. Used by the thread that loads.
#include <algorithm>
#include <charconv>
#include <memory>

#include "google/protobuf/duration.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"
#include "source/config/known_api.h"
#include "source/config/proto_reader.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;

constexpr std::string_view kUrlPrefix = "type.googleapis.com/";
constexpr int64_t kMaxDurationSeconds = 315'576'000'000;  // of protobuf's Duration: 10,000 years

bool IsWrapper(std::string_view name) {
  return name.starts_with("google.protobuf.") && name.ends_with("Value") &&
         name != "google.protobuf.Value" && name != "google.protobuf.ListValue";
}

bool HasOwnForm(std::string_view name) {
  return IsWrapper(name) || name == "google.protobuf.Duration" ||
         name == "google.protobuf.Timestamp" || name == "google.protobuf.Struct" ||
         name == "google.protobuf.Value" || name == "google.protobuf.ListValue" ||
         name == "google.protobuf.Any";
}

// `1.5s`, `-2s`: seconds with up to nine decimals and the suffix s.
bool ParseDuration(std::string_view text, pb::Duration* out) {
  if (!text.ends_with('s')) return false;
  text.remove_suffix(1);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t dot = text.find('.');
  const std::optional<int64_t> seconds = ParseDecimal<int64_t>(text.substr(0, dot));
  if (!seconds || *seconds > kMaxDurationSeconds) return false;
  int64_t nanos = 0;
  if (dot != text.npos) {
    std::string decimals(text.substr(dot + 1));
    if (decimals.empty() || decimals.size() > 9) return false;
    decimals.append(9 - decimals.size(), '0');
    const std::optional<int64_t> parsed = ParseDecimal<int64_t>(decimals);
    if (!parsed) return false;
    nanos = *parsed;
  }
  out->set_seconds(negative ? -*seconds : *seconds);
  out->set_nanos(static_cast<int32_t>(negative ? -nanos : nanos));
  return true;
}

// What a person meant by a duration in another unit, or without one; empty if that is not clear.
std::string SuggestDuration(std::string_view text) {
  static constexpr struct {
    std::string_view suffix;
    double seconds;
  } kUnits[] = {{"ms", 1e-3}, {"us", 1e-6}, {"m", 60}, {"h", 3600},
                {"d", 86400}, {"min", 60},  {"", 1}};
  const size_t end = text.find_first_not_of("0123456789.");
  const std::string_view suffix = end == text.npos ? std::string_view() : text.substr(end);
  double value = 0;
  if (!ParseFinite(text.substr(0, end), &value)) return {};
  for (const auto& unit : kUnits) {
    if (unit.suffix == suffix && value * unit.seconds < 1e9) return Cat(value * unit.seconds, "s");
  }
  return {};
}

}  // namespace

bool ProtoReader::ReadWellKnown(const Node& node, Message* message) {
  const std::string& name = message->GetDescriptor()->full_name();
  if (!name.starts_with("google.protobuf.")) return false;
  if (name == "google.protobuf.Duration") {
    ReadDuration(node, message);
  } else if (name == "google.protobuf.Timestamp") {
    ReadTimestamp(node, message);
  } else if (name == "google.protobuf.Any") {
    ReadAny(node, message);
  } else if (name == "google.protobuf.Struct") {
    ReadStruct(node, message);
  } else if (name == "google.protobuf.Value") {
    ReadValue(node, message);
  } else if (name == "google.protobuf.ListValue") {
    if (!node.IsSequence()) {
      WrongType(node, "a list");
      return true;
    }
    for (const Node::Entry& entry : node.entries) {
      ReadValue(*entry.value, static_cast<pb::ListValue*>(message)->add_values());
    }
  } else if (IsWrapper(name)) {
    ReadScalar(node, message->GetDescriptor()->field(0), message);
  } else {
    return false;
  }
  return true;
}

void ProtoReader::ReadDuration(const Node& node, Message* message) {
  message->Clear();
  if (node.IsMapping()) {
    ReadFields(node, message, false);
    const auto& read = static_cast<const pb::Duration&>(*message);
    const bool signs =
        (read.seconds() > 0 && read.nanos() < 0) || (read.seconds() < 0 && read.nanos() > 0);
    if (signs || std::abs(read.seconds()) > kMaxDurationSeconds ||
        std::abs(int64_t{read.nanos()}) > 999'999'999) {
      Error(node,
            "is no valid duration: nanos must be below 1000000000 and of the sign of seconds");
    }
    return;
  }
  if (!node.IsScalar()) return WrongType(node, "a duration, such as '1.5s'");
  if (ParseDuration(node.text, static_cast<pb::Duration*>(message))) return;
  Error(node, Cat("must be a duration in seconds, such as '1.5s', got ", node.Describe()),
        SuggestDuration(node.text));
}

void ProtoReader::ReadTimestamp(const Node& node, Message* message) {
  message->Clear();
  if (node.IsScalar() &&
      pb::util::TimeUtil::FromString(node.text, static_cast<pb::Timestamp*>(message)))
    return;
  WrongType(node, "a time, such as '2026-01-31T12:00:00Z'");
}

void ProtoReader::ReadStruct(const Node& node, Message* message) {
  if (!node.IsMapping()) return WrongType(node, "a mapping");
  auto& fields = *static_cast<pb::Struct*>(message)->mutable_fields();
  for (const Node::Entry& entry : node.entries) ReadValue(*entry.value, &fields[entry.key->text]);
}

// Nothing says what a plain scalar is here, so it is what YAML 1.2's core schema says: true, false
// and numbers are such.
void ProtoReader::ReadValue(const Node& node, Message* message) {
  auto* value = static_cast<pb::Value*>(message);
  value->Clear();
  double number = 0;
  switch (node.kind) {
    case Node::Kind::kNull:
      return value->set_null_value(pb::NULL_VALUE);
    case Node::Kind::kMapping:
      return ReadStruct(node, value->mutable_struct_value());
    case Node::Kind::kSequence:
      value->mutable_list_value();
      for (const Node::Entry& entry : node.entries) {
        ReadValue(*entry.value, value->mutable_list_value()->add_values());
      }
      return;
    case Node::Kind::kScalar:
      break;
  }
  if (!node.quoted && (node.text == "true" || node.text == "false")) {
    value->set_bool_value(node.text == "true");
  } else if (!node.quoted && ParseFinite(node.text, &number)) {
    value->set_number_value(number);
  } else {
    value->set_string_value(node.text);
  }
}

void ProtoReader::ReadAny(const Node& node, Message* message) {
  message->Clear();
  if (!node.IsMapping()) return WrongType(node, "a mapping with '@type'");
  const Node* url = node.Find("@type");
  if (url == nullptr) return Error(node, "'@type' is missing");
  if (!url->IsScalar()) return Error(*url, Cat("'@type' must be a string, got ", url->Describe()));
  // A TypedStruct names the type of what it holds, in the form of that type.
  const bool typed_struct = url->text == "type.googleapis.com/udpa.type.v1.TypedStruct" ||
                            url->text == "type.googleapis.com/xds.type.v3.TypedStruct";
  if (!typed_struct) return ReadAnyContent(node, *url, url->text, false, message);
  const Node* inner =
      node.Find("type_url") != nullptr ? node.Find("type_url") : node.Find("typeUrl");
  if (inner == nullptr || !inner->IsScalar())
    return Error(node, "a TypedStruct needs a 'type_url'");
  for (const Node::Entry& entry : node.entries) {
    const std::string& key = entry.key->text;
    if (key != "@type" && key != "type_url" && key != "typeUrl" && key != "value") {
      Unknown(*entry.key, Cat("unknown field ", Quoted(key), " in a TypedStruct"));
    }
  }
  const Node* value = node.Find("value");
  static const Node* const kEmpty =
      new Node{.kind = Node::Kind::kMapping, .text = {}, .entries = {}};
  ReadAnyContent(value == nullptr || value->IsNull() ? *kEmpty : *value, *inner, inner->text, true,
                 message);
}

void ProtoReader::ReadAnyContent(const Node& node, const Node& place, std::string_view url,
                                 bool typed_struct, Message* any) {
  const size_t slash = url.rfind('/');
  const std::string name(slash == url.npos ? url : url.substr(slash + 1));
  const pb::Descriptor* type = SupportedMessage(name);
  if (type == nullptr) return RefuseType(place, url, name, any);
  if (url.substr(0, slash == url.npos ? 0 : slash + 1) != kUrlPrefix) {
    return Error(place, Cat("bad type URL ", Quoted(url)), Cat(kUrlPrefix, name));
  }
  std::unique_ptr<Message> content(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (HasOwnForm(name)) {
    const Node* value = typed_struct ? &node : node.Find("value");
    if (value == nullptr) return Error(node, Cat("'value' is missing (", name, ")"));
    ReadMessage(*value, content.get());
  } else if (!node.IsMapping()) {
    return WrongType(node, Cat("a mapping (", type->name(), ")"));
  } else {
    ReadFields(node, content.get(), !typed_struct);
  }
  auto* out = static_cast<pb::Any*>(any);
  out->set_type_url(Cat(kUrlPrefix, name));
  // In one order, so that equal configurations are equal bytes.
  pb::io::StringOutputStream stream(out->mutable_value());
  pb::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  content->SerializePartialToCodedStream(&coded);
}

// Reports a type that Sluice has no code for; an optional one is left out instead, as its
// HttpFilter asks.
void ProtoReader::RefuseType(const Node& place, std::string_view url, std::string_view name,
                             Message* any) {
  const bool known = KnownApi().FindMessageTypeByName(std::string(name)) != nullptr;
  // One of several, of which the first that is supported is taken: the cluster says so if none is.
  if (known && path_.find(".load_balancing_policy.policies[") != path_.npos) {
    static_cast<pb::Any*>(any)->set_type_url(std::string(url));
    return;
  }
  std::string message =
      known ? Cat(Quoted(name), " is a known Envoy type that Sluice does not support yet")
            : Cat("unknown type ", Quoted(url));
  if (!optional_.empty()) {
    diagnostics_.WarningAt({place.line, place.column, file_}, path_,
                           message + "; it is optional and left out");
    diagnostics_.LeaveOut(optional_);
    static_cast<pb::Any*>(any)->set_type_url(std::string(url));
    return;
  }
  if (known || diagnostics_.full()) return Error(place, message);
  std::vector<std::string_view> names(SupportedMessageNames().begin(),
                                      SupportedMessageNames().end());
  std::string_view nearest;
  const size_t dot = name.rfind('.');
  const std::string_view simple = dot == name.npos ? name : name.substr(dot);
  for (const std::string_view candidate : names) {
    if (simple.size() > 1 && candidate.ends_with(simple))
      nearest = candidate;  // the old API's packages, for one
  }
  if (nearest.empty()) nearest = Nearest(name, names);
  Error(place, message, nearest);
}

}  // namespace sluice::config
