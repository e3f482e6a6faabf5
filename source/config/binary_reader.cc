// Bootstraps in protobuf's own forms: parsed as dynamic messages of the whole API, refused where
// Sluice has no code, then copied into the generated message. Used by the thread that loads.
#include "source/config/binary_reader.h"

#include <memory>
#include <vector>

#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/unknown_field_set.h"
#include "source/config/known_api.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;
using Locations = pb::TextFormat::ParseInfoTree;

// Walks a dynamic message of the whole API and reports what the generated API lacks.
class Supported {
 public:
  Supported(int file, const ReadOptions& options, Diagnostics& diagnostics)
      : file_(file), options_(options), diagnostics_(diagnostics) {}

  // `locations` are those of the message's fields, null if there are none.
  void Check(const pb::Message& message, const Locations* locations, const std::string& path) {
    const pb::Descriptor* ours = SupportedMessage(message.GetDescriptor()->full_name());
    const pb::UnknownFieldSet& unknown = message.GetReflection()->GetUnknownFields(message);
    for (int i = 0; i < unknown.field_count(); ++i) {
      Refuse(path, Cat("unknown field number ", unknown.field(i).number(), " of ",
                       message.GetDescriptor()->name()));
    }
    if (ours == nullptr || message.GetDescriptor()->full_name() == "google.protobuf.Any") return;
    std::vector<const Field*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const Field* field : fields)
      CheckField(message, field, ours->FindFieldByNumber(field->number()), locations, path);
  }

 private:
  void CheckField(const pb::Message& message, const Field* field, const Field* ours,
                  const Locations* locations, const std::string& path) {
    const std::string field_path = ChildPath(path, field->name());
    const pb::Reflection& reflection = *message.GetReflection();
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : -1;
    Mark(field_path, field, size < 0 ? -1 : 0, locations);
    if (ours == nullptr) {
      return Refuse(field_path, Cat("'", field->name(),
                                    "' is a known Envoy field that Sluice does not support yet"));
    }
    if (field->options().deprecated() && !options_.skip_deprecated)
      diagnostics_.Warning(field_path, "is deprecated");
    for (int i = size < 0 ? -1 : 0; i < std::max(size, 0); ++i) {
      std::string value_path = i < 0 || field->is_map() ? field_path : ElementPath(field_path, i);
      const Locations* inner =
          locations == nullptr ? nullptr : locations->GetTreeForNested(field, i);
      if (i >= 0 && !field->is_map()) Mark(value_path, field, i, locations);
      CheckValue(message, field, ours, i, inner, value_path);
    }
  }

  void CheckValue(const pb::Message& message, const Field* field, const Field* ours, int index,
                  const Locations* inner, std::string path) {
    const pb::Reflection& reflection = *message.GetReflection();
    if (field->cpp_type() == Field::CPPTYPE_ENUM) {
      const int number = index < 0 ? reflection.GetEnumValue(message, field)
                                   : reflection.GetRepeatedEnumValue(message, field, index);
      if (ours->enum_type()->FindValueByNumber(number) != nullptr) return;
      const pb::EnumValueDescriptor* known = field->enum_type()->FindValueByNumber(number);
      diagnostics_.MarkUnread(path);
      return diagnostics_.Error(
          path, known == nullptr
                    ? Cat("unknown value ", number)
                    : Cat("'", known->name(),
                          "' is a known Envoy value that Sluice does not support yet"));
    }
    if (field->cpp_type() != Field::CPPTYPE_MESSAGE) return;
    const pb::Message& value = index < 0 ? reflection.GetMessage(message, field)
                                         : reflection.GetRepeatedMessage(message, field, index);
    if (!field->is_map()) return CheckMessage(message, value, inner, path);
    const Field* value_field = field->message_type()->map_value();
    const Field* key_field = field->message_type()->map_key();
    if (value_field->cpp_type() != Field::CPPTYPE_MESSAGE ||
        key_field->cpp_type() != Field::CPPTYPE_STRING)
      return;
    path = EntryPath(path, value.GetReflection()->GetString(value, key_field));
    CheckMessage(value, value.GetReflection()->GetMessage(value, value_field),
                 inner == nullptr ? nullptr : inner->GetTreeForNested(value_field, -1), path);
  }

  void CheckMessage(const pb::Message& parent, const pb::Message& value, const Locations* inner,
                    const std::string& path) {
    if (value.GetDescriptor()->full_name() == "google.protobuf.Any")
      return CheckAny(parent, value, path);
    Check(value, inner, path);
  }

  void CheckAny(const pb::Message& parent, const pb::Message& any, const std::string& path) {
    const std::string url =
        any.GetReflection()->GetString(any, any.GetDescriptor()->FindFieldByName("type_url"));
    const std::string bytes =
        any.GetReflection()->GetString(any, any.GetDescriptor()->FindFieldByName("value"));
    const std::string name = url.substr(url.rfind('/') + 1);
    if (url.empty()) return diagnostics_.Error(path, "type_url is missing");
    std::unique_ptr<pb::Message> content(NewKnownMessage(name));
    if (SupportedMessage(name) == nullptr) {
      // One of several, of which the first that is supported is taken.
      if (content != nullptr && path.find(".load_balancing_policy.policies[") != path.npos) return;
      const std::string text =
          content != nullptr
              ? Cat(Quoted(name), " is a known Envoy type that Sluice does not support yet")
              : Cat("unknown type ", Quoted(url));
      const Field* optional = parent.GetDescriptor()->FindFieldByName("is_optional");
      if (optional == nullptr || !parent.GetReflection()->GetBool(parent, optional))
        return diagnostics_.Error(path, text);
      diagnostics_.Warning(path, text + "; it is optional and left out");
      return diagnostics_.LeaveOut(path.substr(0, path.rfind('.')));
    }
    if (content == nullptr) return;
    if (!content->ParsePartialFromString(bytes))
      return diagnostics_.Error(path, Cat("is no valid ", name));
    // Of what an Any holds only the path is known.
    Check(*content, nullptr, path);
  }

  void Mark(const std::string& path, const Field* field, int index, const Locations* locations) {
    if (locations == nullptr) return;
    const pb::TextFormat::ParseLocation location = locations->GetLocation(field, index);
    if (location.line >= 0)
      diagnostics_.source().Set(path, {location.line + 1, location.column + 1, file_});
  }

  void Refuse(const std::string& path, const std::string& message) {
    if (options_.allow_unknown) return diagnostics_.Warning(path, message + ", left out");
    diagnostics_.Error(path, message);
  }

  const int file_;
  const ReadOptions& options_;
  Diagnostics& diagnostics_;
};

class Errors : public pb::io::ErrorCollector {
 public:
  Errors(int file, Diagnostics& diagnostics) : file_(file), diagnostics_(diagnostics) {}
  void AddError(int line, int column, const std::string& message) override {
    diagnostics_.ErrorAt({line + 1, column + 1, file_}, "", message);
  }

 private:
  const int file_;
  Diagnostics& diagnostics_;
};

// `message` takes what `known` holds. Fields that it does not have are dropped: they were reported.
void Take(const pb::Message& known, Diagnostics& diagnostics, pb::Message* message) {
  if (!message->ParsePartialFromString(known.SerializePartialAsString())) {
    diagnostics.Error("", "is no valid protobuf message");
  }
  message->DiscardUnknownFields();
}

}  // namespace

bool ReadBinary(std::string_view bytes, int file, const ReadOptions& options,
                Diagnostics& diagnostics, pb::Message* message) {
  const std::string& type = message->GetDescriptor()->full_name();
  std::unique_ptr<pb::Message> known(NewKnownMessage(type));
  if (known == nullptr ||
      !known->ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    diagnostics.ErrorAt({1, 1, file}, "", Cat("is no valid binary ", type));
    return false;
  }
  diagnostics.source().Set("", {1, 1, file});
  Supported(file, options, diagnostics).Check(*known, nullptr, "");
  Take(*known, diagnostics, message);
  return true;
}

bool ReadText(std::string_view text, int file, const ReadOptions& options, Diagnostics& diagnostics,
              pb::Message* message) {
  std::unique_ptr<pb::Message> known(NewKnownMessage(message->GetDescriptor()->full_name()));
  Errors errors(file, diagnostics);
  Locations locations;
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  parser.WriteLocationsTo(&locations);
  parser.SetRecursionLimit(kMaxDepth);
  parser.AllowPartialMessage(true);
  if (known == nullptr || !parser.ParseFromString(std::string(text), known.get())) {
    if (diagnostics.ok()) diagnostics.ErrorAt({1, 1, file}, "", "is no valid text");
    return false;
  }
  Supported(file, options, diagnostics).Check(*known, &locations, "");
  Take(*known, diagnostics, message);
  return true;
}

}  // namespace sluice::config
