// The validation rules of api/sluice/validate, evaluated by reflection. Pure; any thread.
#include "source/config/rules.h"

#include <memory>
#include <set>

#include "api/sluice/validate/rules.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/util/time_util.h"
#include "re2/re2.h"
#include "source/config/known_api.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;
using pb::util::TimeUtil;
using validate::FieldRules;

// lt, lte, gt and gte of one kind of number.
template <class Rules, class Number>
void CheckBounds(const Rules& rules, Number value, std::string_view path,
                 Diagnostics& diagnostics) {
  const auto refuse = [&](const char* relation, auto bound) {
    diagnostics.Error(path, Cat("value must be ", relation, " ", bound, ", got ", value));
  };
  if (rules.has_lt() && !(value < rules.lt())) refuse("<", rules.lt());
  if (rules.has_lte() && !(value <= rules.lte())) refuse("<=", rules.lte());
  if (rules.has_gt() && !(value > rules.gt())) refuse(">", rules.gt());
  if (rules.has_gte() && !(value >= rules.gte())) refuse(">=", rules.gte());
}

void CheckDuration(const validate::DurationRules& rules, const pb::Duration& value,
                   std::string_view path, Diagnostics& diagnostics) {
  const auto refuse = [&](const char* relation, const pb::Duration& bound) {
    diagnostics.Error(path, Cat("value must be ", relation, " ", TimeUtil::ToString(bound),
                                ", got ", TimeUtil::ToString(value)));
  };
  if (rules.has_lt() && !(value < rules.lt())) refuse("<", rules.lt());
  if (rules.has_lte() && !(value <= rules.lte())) refuse("<=", rules.lte());
  if (rules.has_gt() && !(value > rules.gt())) refuse(">", rules.gt());
  if (rules.has_gte() && !(value >= rules.gte())) refuse(">=", rules.gte());
}

bool IsHeaderText(const validate::StringRules& rules, std::string_view value) {
  static constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_|~`";
  if (rules.loose()) return value.find_first_of(std::string_view("\0\r\n", 3)) == value.npos;
  const bool name = rules.header() == validate::StringRules::NAME;
  if (name && value.starts_with(':')) value.remove_prefix(1);
  if (name && value.empty()) return false;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    const bool alphanumeric = (c >= '0' && c <= '9') || (ToLower(c) >= 'a' && ToLower(c) <= 'z');
    if (name ? !alphanumeric && kTokenMarks.find(c) == kTokenMarks.npos
             : (byte < 0x20 && c != '\t') || byte == 0x7F) {
      return false;
    }
  }
  return true;
}

size_t Characters(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (c & 0xC0) != 0x80;
  return count;
}

void CheckString(const validate::StringRules& rules, const std::string& value,
                 std::string_view path, Diagnostics& diagnostics) {
  if (value.empty() && rules.ignore_empty()) return;
  const auto refuse = [&](const auto&... parts) { diagnostics.Error(path, Cat(parts...)); };
  const size_t length = Characters(value);
  if (rules.has_min_len() && length < rules.min_len()) {
    if (value.empty()) return refuse("must not be empty");
    refuse("must have at least ", rules.min_len(), " characters, got ", length);
  }
  if (rules.has_max_len() && length > rules.max_len()) {
    refuse("must have at most ", rules.max_len(), " characters, got ", length);
  }
  if (rules.has_max_bytes() && value.size() > rules.max_bytes()) {
    refuse("must have at most ", rules.max_bytes(), " bytes, got ", value.size());
  }
  if (rules.has_prefix() && !value.starts_with(rules.prefix())) {
    refuse("must start with '", rules.prefix(), "', got ", Quoted(value));
  }
  if (rules.has_suffix() && !value.ends_with(rules.suffix())) {
    refuse("must end with '", rules.suffix(), "', got ", Quoted(value));
  }
  if (rules.has_pattern() && !RE2::PartialMatch(value, RE2(rules.pattern()))) {
    refuse("must match ", rules.pattern(), ", got ", Quoted(value));
  }
  if (rules.in_size() > 0) {
    std::string list;
    for (const std::string& one : rules.in()) {
      if (one == value) return;
      AppendTo(&list, list.empty() ? "" : ", ", one);
    }
    refuse("must be one of ", list, ", got ", Quoted(value));
  }
  if (rules.header() != validate::StringRules::ANY && !IsHeaderText(rules, value)) {
    const bool name = rules.header() == validate::StringRules::NAME;
    refuse("must be a valid header ", name ? "name" : "value", ", got ", Quoted(value));
  }
}

// One value: a singular field, an element, or a map's key or value.
class Value {
 public:
  // `index` < 0: a singular field.
  Value(const pb::Message& message, const Field* field, int index = -1)
      : message_(message), field_(field), index_(index) {}

#define SLUICE_GET(Type)                                 \
  (index_ < 0 ? reflection().Get##Type(message_, field_) \
              : reflection().GetRepeated##Type(message_, field_, index_))
  int32_t Int32() const { return SLUICE_GET(Int32); }
  int64_t Int64() const { return SLUICE_GET(Int64); }
  uint32_t UInt32() const { return SLUICE_GET(UInt32); }
  uint64_t UInt64() const { return SLUICE_GET(UInt64); }
  double Real() const {
    return field_->cpp_type() == Field::CPPTYPE_FLOAT ? SLUICE_GET(Float) : SLUICE_GET(Double);
  }
  bool Bool() const { return SLUICE_GET(Bool); }
  int Enum() const { return SLUICE_GET(EnumValue); }
  std::string String() const { return SLUICE_GET(String); }
  const pb::Message& Message() const { return SLUICE_GET(Message); }
#undef SLUICE_GET

  const Field* field() const { return field_; }
  bool IsMessage() const { return field_->cpp_type() == Field::CPPTYPE_MESSAGE; }
  bool IsSet() const {
    return index_ >= 0 || !field_->has_presence() || reflection().HasField(message_, field_);
  }

 private:
  const pb::Reflection& reflection() const { return *message_.GetReflection(); }

  const pb::Message& message_;
  const Field* field_;
  int index_;
};

void CheckEnum(const validate::EnumRules& rules, const Value& value, std::string_view path,
               Diagnostics& diagnostics) {
  const int number = value.Enum();
  if (rules.defined_only() && value.field()->enum_type()->FindValueByNumber(number) == nullptr) {
    diagnostics.Error(path, Cat("value must be one of the names of ",
                                value.field()->enum_type()->name(), ", got ", number));
  }
  for (const int refused : rules.not_in()) {
    if (number == refused) diagnostics.Error(path, Cat("value must not be ", number));
  }
}

// The rules of one value that is set.
void CheckValue(const FieldRules& rules, const Value& value, std::string_view path,
                Diagnostics& diagnostics) {
  if (rules.kind_case() == FieldRules::KIND_NOT_SET) return;
  if (value.IsMessage() && rules.kind_case() != FieldRules::kDuration) {
    if (rules.kind_case() == FieldRules::kMessage || rules.kind_case() == FieldRules::kAny)
      return;  // presence only
    const pb::Message& wrapper = value.Message();
    return CheckValue(rules, Value(wrapper, wrapper.GetDescriptor()->field(0)), path, diagnostics);
  }
  switch (rules.kind_case()) {
    case FieldRules::kInt32:
      return CheckBounds(rules.int32(), value.Int32(), path, diagnostics);
    case FieldRules::kInt64:
      return CheckBounds(rules.int64(), value.Int64(), path, diagnostics);
    case FieldRules::kUint32:
      return CheckBounds(rules.uint32(), value.UInt32(), path, diagnostics);
    case FieldRules::kUint64:
      return CheckBounds(rules.uint64(), value.UInt64(), path, diagnostics);
    case FieldRules::kDouble:
      return CheckBounds(rules.double_(), value.Real(), path, diagnostics);
    case FieldRules::kFloat:
      return CheckBounds(rules.float_(), value.Real(), path, diagnostics);
    case FieldRules::kBool:
      if (rules.bool_().has_const_() && value.Bool() != rules.bool_().const_()) {
        diagnostics.Error(path, Cat("value must be ", rules.bool_().const_() ? "true" : "false"));
      }
      return;
    case FieldRules::kString:
      return CheckString(rules.string(), value.String(), path, diagnostics);
    case FieldRules::kBytes: {
      const size_t size = value.String().size();
      if (rules.bytes().has_min_len() && size < rules.bytes().min_len()) {
        diagnostics.Error(
            path, Cat("must have at least ", rules.bytes().min_len(), " bytes, got ", size));
      }
      if (rules.bytes().has_max_len() && size > rules.bytes().max_len()) {
        diagnostics.Error(path,
                          Cat("must have at most ", rules.bytes().max_len(), " bytes, got ", size));
      }
      return;
    }
    case FieldRules::kEnum:
      return CheckEnum(rules.enum_(), value, path, diagnostics);
    case FieldRules::kDuration: {
      pb::Duration duration;
      duration.ParsePartialFromString(value.Message().SerializePartialAsString());
      return CheckDuration(rules.duration(), duration, path, diagnostics);
    }
    default:
      return;
  }
}

bool IsRequired(const FieldRules& rules) {
  return rules.message().required() || rules.any().required() || rules.duration().required();
}

void CheckSize(const FieldRules& rules, const pb::Message& message, const Field* field,
               std::string_view path, Diagnostics& diagnostics) {
  const auto size = static_cast<uint64_t>(message.GetReflection()->FieldSize(message, field));
  const uint64_t least = field->is_map() ? rules.map().min_pairs() : rules.repeated().min_items();
  if (size < least)
    diagnostics.Error(
        path, Cat("must have at least ", least, least == 1 ? " item" : " items", ", got ", size));
  if (rules.repeated().has_max_items() && size > rules.repeated().max_items()) {
    diagnostics.Error(
        path, Cat("must have at most ", rules.repeated().max_items(), " items, got ", size));
  }
  if (!rules.repeated().unique() || field->cpp_type() != Field::CPPTYPE_STRING) return;
  std::set<std::string> seen;
  for (uint64_t i = 0; i < size; ++i) {
    const std::string value = Value(message, field, static_cast<int>(i)).String();
    if (!seen.insert(value).second)
      diagnostics.Error(ElementPath(path, i), Cat(Quoted(value), " is there twice"));
  }
}

void CheckMessageValue(const Value& value, std::string_view path, Diagnostics& diagnostics) {
  if (value.IsMessage()) CheckRules(value.Message(), path, diagnostics);
}

void CheckMap(const FieldRules& rules, const pb::Message& message, const Field* field,
              std::string_view path, Diagnostics& diagnostics) {
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
    const pb::Message& entry = message.GetReflection()->GetRepeatedMessage(message, field, i);
    const Value key(entry, field->message_type()->map_key());
    const Value value(entry, field->message_type()->map_value());
    const std::string name =
        key.field()->cpp_type() == Field::CPPTYPE_STRING ? key.String() : Cat(i);
    const std::string entry_path = EntryPath(path, name);
    if (diagnostics.IsUnread(entry_path)) continue;
    if (rules.map().has_keys()) CheckValue(rules.map().keys(), key, entry_path, diagnostics);
    if (rules.map().has_values()) CheckValue(rules.map().values(), value, entry_path, diagnostics);
    CheckMessageValue(value, entry_path, diagnostics);
  }
}

void CheckField(const pb::Message& message, const Field* field, std::string_view path,
                Diagnostics& diagnostics) {
  const FieldRules& rules = field->options().GetExtension(validate::rules);
  if (diagnostics.IsUnread(path)) return;
  if (field->is_repeated()) {
    CheckSize(rules, message, field, path, diagnostics);
    if (field->is_map()) return CheckMap(rules, message, field, path, diagnostics);
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
      const Value element(message, field, i);
      const std::string element_path = ElementPath(path, i);
      if (diagnostics.IsUnread(element_path)) continue;
      if (rules.repeated().has_items())
        CheckValue(rules.repeated().items(), element, element_path, diagnostics);
      CheckMessageValue(element, element_path, diagnostics);
    }
    return;
  }
  const Value value(message, field);
  if (!value.IsSet()) {
    if (IsRequired(rules) && field->real_containing_oneof() == nullptr)
      diagnostics.Error(path, "must be set");
    return;
  }
  CheckValue(rules, value, path, diagnostics);
  CheckMessageValue(value, path, diagnostics);
}

void CheckOneof(const pb::Message& message, const pb::OneofDescriptor* oneof, std::string_view path,
                Diagnostics& diagnostics) {
  if (!oneof->options().GetExtension(validate::required) ||
      message.GetReflection()->HasOneof(message, oneof))
    return;
  std::string names;
  for (int i = 0; i < oneof->field_count(); ++i) {
    // It was set, to something that could not be read: that was reported.
    if (diagnostics.IsUnread(ChildPath(path, oneof->field(i)->name()))) return;
    AppendTo(&names, i == 0 ? "" : ", ", oneof->field(i)->name());
  }
  diagnostics.Error(path, Cat(oneof->field_count() > 1 ? "one of " : "", names, " must be set"));
}

// What an Any holds is checked as if it stood in its place. Bytes that do not parse are for the
// factory to report.
void CheckAny(const pb::Any& any, std::string_view path, Diagnostics& diagnostics) {
  const std::string& url = any.type_url();
  const pb::Descriptor* type = SupportedMessage(std::string_view(url).substr(url.rfind('/') + 1));
  if (type == nullptr) return;
  std::unique_ptr<pb::Message> content(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (content->ParsePartialFromString(any.value())) CheckRules(*content, path, diagnostics);
}

}  // namespace

void CheckRules(const pb::Message& message, std::string_view path, Diagnostics& diagnostics) {
  if (diagnostics.IsUnread(path)) return;
  const pb::Descriptor& type = *message.GetDescriptor();
  if (type.full_name() == "google.protobuf.Any") {
    if (const auto* any = dynamic_cast<const pb::Any*>(&message)) CheckAny(*any, path, diagnostics);
    return;
  }
  if (type.file()->package() == "google.protobuf") return;
  for (int i = 0; i < type.real_oneof_decl_count(); ++i)
    CheckOneof(message, type.oneof_decl(i), path, diagnostics);
  for (int i = 0; i < type.field_count(); ++i) {
    CheckField(message, type.field(i), ChildPath(path, type.field(i)->name()), diagnostics);
  }
}

}  // namespace sluice::config
