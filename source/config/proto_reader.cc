// From the tree of a source text to a protobuf message: fields, lists, maps, scalars. Used by the
// thread that loads.
#include "source/config/proto_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "absl/strings/escaping.h"
#include "api/sluice/validate/rules.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "source/config/known_api.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

// A value that stands in its key's line is shown where it is; one that begins further down is shown
// by its key.
Position PlaceOf(const Node::Entry& entry, int file) {
  const Node& place = entry.value->line == entry.key->line ? *entry.value : *entry.key;
  return {place.line, place.column, file};
}

const Field* FindByName(const pb::Descriptor& type, const std::string& name) {
  const Field* field = type.FindFieldByName(name);
  return field != nullptr ? field : type.FindFieldByCamelcaseName(name);
}

std::vector<std::string_view> FieldNames(const pb::Descriptor& type) {
  std::vector<std::string_view> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

bool ParseBool(const Node& node, bool* value) {
  const std::string text = ToLower(node.text);
  const bool word = !node.quoted && (text == "yes" || text == "on");
  const bool no_word = !node.quoted && (text == "no" || text == "off");
  *value = text == "true" || word;
  return *value || text == "false" || no_word;
}

std::string OneofFields(const pb::OneofDescriptor& oneof) {
  std::string names;
  for (int i = 0; i < oneof.field_count(); ++i)
    AppendTo(&names, i == 0 ? "" : ", ", oneof.field(i)->name());
  return names;
}

}  // namespace

bool ParseInteger(std::string_view text, bool is_signed, int bits, int64_t* signed_value,
                  uint64_t* unsigned_value) {
  const bool negative = !text.empty() && text[0] == '-';
  std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty()) return false;
  uint64_t magnitude = 0;
  if (digits.find_first_not_of("0123456789") == digits.npos) {
    if (std::from_chars(digits.data(), digits.data() + digits.size(), magnitude).ec != std::errc())
      return false;
  } else {
    double value = 0;
    if (!ParseFinite(digits, &value) || value != std::floor(value) || value >= 9007199254740992.0)
      return false;
    magnitude = static_cast<uint64_t>(value);
  }
  if (!is_signed) {
    *unsigned_value = magnitude;
    return (!negative || magnitude == 0) &&
           (bits == 64 || magnitude <= std::numeric_limits<uint32_t>::max());
  }
  const uint64_t limit = (uint64_t{1} << (bits - 1)) - (negative ? 0 : 1);
  if (magnitude > limit) return false;
  *signed_value = static_cast<int64_t>(negative ? ~magnitude + 1 : magnitude);
  return true;
}

bool ParseFinite(std::string_view text, double* value) {
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != text.npos) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(*value);
}

void ProtoReader::Error(const Node& node, std::string_view message, std::string_view suggestion) {
  diagnostics_.ErrorAt({node.line, node.column, file_}, path_, message, suggestion);
  if (!diagnostics_.full()) diagnostics_.MarkUnread(path_);
}

void ProtoReader::WrongType(const Node& node, std::string_view expected) {
  Error(node, Cat("must be ", expected, ", got ", node.Describe()));
}

void ProtoReader::Unknown(const Node& key, std::string_view message, std::string_view suggestion) {
  const Position position{key.line, key.column, file_};
  if (options_.allow_unknown) {
    diagnostics_.WarningAt(position, path_, Cat(message, ", left out"), suggestion);
  } else {
    diagnostics_.ErrorAt(position, path_, message, suggestion);
  }
}

void ProtoReader::Mark(int line, int column) {
  diagnostics_.source().Set(path_, {line, column, file_});
}

void ProtoReader::Read(const Node& node, std::string_view path, Message* message) {
  Step step(*this, std::string(path));
  if (!path.empty()) Mark(node.line, node.column);
  ReadMessage(node, message);
}

void ProtoReader::ReadMessage(const Node& node, Message* message) {
  if (ReadWellKnown(node, message)) return;
  if (!node.IsMapping())
    return WrongType(node, Cat("a mapping (", message->GetDescriptor()->name(), ")"));
  ReadFields(node, message, false);
}

void ProtoReader::ReadFields(const Node& mapping, Message* message, bool in_any) {
  std::vector<const Field*> seen;
  std::string outer = std::move(optional_);
  optional_.clear();
  bool optional = false;
  if (message->GetDescriptor()->FindFieldByName("is_optional") != nullptr) {
    for (const char* name : {"is_optional", "isOptional"}) {
      const Node* value = mapping.Find(name);
      if (value != nullptr && value->IsScalar()) ParseBool(*value, &optional);
      if (optional) optional_ = path_;
    }
  }
  for (const Node::Entry& entry : mapping.entries) {
    if (in_any && entry.key->text == "@type") continue;
    ReadEntry(entry, message, &seen);
  }
  optional_ = std::move(outer);
}

void ProtoReader::ReadEntry(const Node::Entry& entry, Message* message,
                            std::vector<const Field*>* seen) {
  const Field* field = FindField(*entry.key, *message->GetDescriptor());
  if (field == nullptr) return;
  if (entry.value->IsNull() && (field->message_type() == nullptr ||
                                field->message_type()->full_name() != "google.protobuf.Value")) {
    return;
  }
  Step step(*this, ChildPath(path_, field->name()));
  if (!CheckSetOnce(*entry.key, field, seen)) return;
  const Position position = PlaceOf(entry, file_);
  Mark(position.line, position.column);
  if (field->options().deprecated() && !options_.skip_deprecated)
    diagnostics_.Warning(path_, "is deprecated");
  ReadField(entry, field, message);
}

// The supported field that a key names; null after an error.
const Field* ProtoReader::FindField(const Node& key, const pb::Descriptor& type) {
  if (const Field* field = FindByName(type, key.text)) return field;
  if (diagnostics_.full()) {
    Unknown(key, "unknown field");
    return nullptr;
  }
  const pb::Descriptor* known = KnownApi().FindMessageTypeByName(type.full_name());
  if (known != nullptr && FindByName(*known, key.text) != nullptr) {
    Unknown(key, Cat(Quoted(key.text), " is a known Envoy field that Sluice does not support yet"));
    return nullptr;
  }
  std::string_view nearest = Nearest(key.text, FieldNames(type));
  if (nearest.empty() && known != nullptr) nearest = Nearest(key.text, FieldNames(*known));
  Unknown(key, Cat("unknown field ", Quoted(key.text)), nearest);
  return nullptr;
}

// Refuses a field that is set under both its names, and a second field of a oneof.
bool ProtoReader::CheckSetOnce(const Node& key, const Field* field,
                               std::vector<const Field*>* seen) {
  const pb::OneofDescriptor* oneof = field->real_containing_oneof();
  for (const Field* other : *seen) {
    if (other == field) {
      Error(key, "is set twice, under two names");
      return false;
    }
    if (oneof != nullptr && other->real_containing_oneof() == oneof) {
      Error(key, Cat("'", other->name(), "' is set already: only one of ", OneofFields(*oneof),
                     " may be"));
      return false;
    }
  }
  seen->push_back(field);
  return true;
}

void ProtoReader::ReadField(const Node::Entry& entry, const Field* field, Message* message) {
  const Node& node = *entry.value;
  if (field->is_map()) return ReadMap(node, field, message);
  if (!field->is_repeated()) return ReadElement(node, field, message);
  const size_t base = message->GetReflection()->FieldSize(*message, field);
  if (!node.IsSequence()) {
    Step step(*this, ElementPath(path_, base));
    Mark(node.line, node.column);
    return ReadElement(node, field, message);
  }
  for (size_t i = 0; i < node.entries.size(); ++i) {
    const Node& element = *node.entries[i].value;
    Step step(*this, ElementPath(path_, base + i));
    Mark(element.line, element.column);
    const bool takes_null = field->message_type() != nullptr &&
                            field->message_type()->full_name() == "google.protobuf.Value";
    if (element.IsNull() && !takes_null) {
      Error(element, "must not be null");
      continue;
    }
    ReadElement(element, field, message);
  }
}

void ProtoReader::ReadMap(const Node& node, const Field* field, Message* message) {
  if (!node.IsMapping()) return WrongType(node, "a mapping");
  for (const Node::Entry& entry : node.entries) {
    Step step(*this, EntryPath(path_, entry.key->text));
    const Position position = PlaceOf(entry, file_);
    Mark(position.line, position.column);
    if (entry.value->IsNull()) {
      Error(*entry.value, "must not be null");
      continue;
    }
    Message* map_entry = MapEntry(field, *entry.key, message);
    ReadElement(*entry.value, field->message_type()->map_value(), map_entry);
  }
}

// The entry of a map for `key`, emptied if it is there already.
pb::Message* ProtoReader::MapEntry(const Field* field, const Node& key, Message* message) {
  const pb::Reflection& reflection = *message->GetReflection();
  const Field* key_field = field->message_type()->map_key();
  for (int i = 0;
       key_field->cpp_type() == Field::CPPTYPE_STRING && i < reflection.FieldSize(*message, field);
       ++i) {
    Message* entry = reflection.MutableRepeatedMessage(message, field, i);
    if (entry->GetReflection()->GetString(*entry, key_field) != key.text) continue;
    entry->GetReflection()->ClearField(entry, field->message_type()->map_value());
    return entry;
  }
  Message* entry = reflection.AddMessage(message, field);
  ReadElement(key, key_field, entry);
  return entry;
}

// A singular field, or one more element of a repeated one.
void ProtoReader::ReadElement(const Node& node, const Field* field, Message* message) {
  if (field->cpp_type() != Field::CPPTYPE_MESSAGE) return ReadScalar(node, field, message);
  const pb::Reflection& reflection = *message->GetReflection();
  if (node.IsMapping() && node.entries.empty() &&
      field->options().GetExtension(validate::may_be_empty)) {
    reflection.MutableMessage(message, field);
    return;
  }
  ReadMessage(node, field->is_repeated() ? reflection.AddMessage(message, field)
                                         : reflection.MutableMessage(message, field));
}

void ProtoReader::ReadScalar(const Node& node, const Field* field, Message* message) {
  const pb::Reflection& reflection = *message->GetReflection();
  const bool list = field->is_repeated();
  int64_t signed_value = 0;
  uint64_t unsigned_value = 0;
  double real = 0;
  const auto integer = [&](bool is_signed, int bits) {
    if (node.IsScalar() && ParseInteger(node.text, is_signed, bits, &signed_value, &unsigned_value))
      return true;
    WrongType(node, Cat("a whole number (", field->type_name(), ")"));
    return false;
  };
#define SLUICE_STORE(Type, value) \
  (list ? reflection.Add##Type(message, field, value) : reflection.Set##Type(message, field, value))
  switch (field->cpp_type()) {
    case Field::CPPTYPE_INT32:
      if (integer(true, 32)) SLUICE_STORE(Int32, static_cast<int32_t>(signed_value));
      return;
    case Field::CPPTYPE_INT64:
      if (integer(true, 64)) SLUICE_STORE(Int64, signed_value);
      return;
    case Field::CPPTYPE_UINT32:
      if (integer(false, 32)) SLUICE_STORE(UInt32, static_cast<uint32_t>(unsigned_value));
      return;
    case Field::CPPTYPE_UINT64:
      if (integer(false, 64)) SLUICE_STORE(UInt64, unsigned_value);
      return;
    case Field::CPPTYPE_DOUBLE:
    case Field::CPPTYPE_FLOAT:
      if (!node.IsScalar() || !ParseFinite(node.text, &real))
        return WrongType(node, "a finite number");
      if (field->cpp_type() == Field::CPPTYPE_DOUBLE) return SLUICE_STORE(Double, real);
      return SLUICE_STORE(Float, static_cast<float>(real));
    case Field::CPPTYPE_BOOL: {
      bool value = false;
      if (!node.IsScalar() || !ParseBool(node, &value)) return WrongType(node, "true or false");
      return SLUICE_STORE(Bool, value);
    }
    case Field::CPPTYPE_ENUM: {
      int number = 0;
      if (ReadEnum(node, field, &number)) SLUICE_STORE(EnumValue, number);
      return;
    }
    case Field::CPPTYPE_STRING: {
      if (!node.IsScalar()) return WrongType(node, "a string");
      std::string value = node.text;
      if (field->type() == Field::TYPE_BYTES && !absl::Base64Unescape(node.text, &value) &&
          !absl::WebSafeBase64Unescape(node.text, &value)) {
        return WrongType(node, "base64");
      }
      return SLUICE_STORE(String, value);
    }
    case Field::CPPTYPE_MESSAGE:
      return;
  }
#undef SLUICE_STORE
}

bool ProtoReader::ReadEnum(const Node& node, const Field* field, int* number) {
  const pb::EnumDescriptor& type = *field->enum_type();
  if (!node.IsScalar()) {
    WrongType(node, Cat("one of the values of ", type.name()));
    return false;
  }
  const auto find = [&](const pb::EnumDescriptor& in) -> const pb::EnumValueDescriptor* {
    int64_t value = 0;
    uint64_t unused = 0;
    if (ParseInteger(node.text, true, 32, &value, &unused))
      return in.FindValueByNumber(static_cast<int>(value));
    for (int i = 0; i < in.value_count(); ++i) {
      if (EqualsIgnoreCase(in.value(i)->name(), node.text)) return in.value(i);
    }
    return nullptr;
  };
  if (const pb::EnumValueDescriptor* value = find(type)) {
    *number = value->number();
    return true;
  }
  const pb::EnumDescriptor* known = KnownApi().FindEnumTypeByName(type.full_name());
  if (known != nullptr && find(*known) != nullptr) {
    Error(node, Cat(Quoted(node.text), " is a known Envoy value that Sluice does not support yet"));
    return false;
  }
  std::vector<std::string_view> names;
  std::string list;
  for (int i = 0; i < type.value_count(); ++i) {
    names.push_back(type.value(i)->name());
    AppendTo(&list, i == 0 ? "" : ", ", type.value(i)->name());
  }
  std::string upper = node.text;
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  Error(node, Cat("unknown value ", Quoted(node.text), ", must be one of ", list),
        Nearest(upper, names));
  return false;
}

}  // namespace sluice::config
