// Takes secrets out of what is shown. Pure; any thread.
#include "source/config/redact.h"

#include <memory>
#include <string>
#include <vector>

#include "api/sluice/validate/rules.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "source/config/known_api.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

void RedactMessage(pb::Message* message, bool sensitive);

void RedactAny(pb::Any* any, bool sensitive) {
  const std::string& url = any->type_url();
  const pb::Descriptor* type = SupportedMessage(std::string_view(url).substr(url.rfind('/') + 1));
  std::unique_ptr<pb::Message> content;
  if (type != nullptr)
    content.reset(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (content == nullptr || !content->ParsePartialFromString(any->value())) {
    any->clear_value();
    return;
  }
  RedactMessage(content.get(), sensitive);
  any->set_value(content->SerializePartialAsString());
}

void RedactField(pb::Message* message, const Field* field) {
  const pb::Reflection& reflection = *message->GetReflection();
  if (field->cpp_type() != Field::CPPTYPE_STRING) return reflection.ClearField(message, field);
  if (!field->is_repeated()) return reflection.SetString(message, field, "[redacted]");
  for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
    reflection.SetRepeatedString(message, field, i, "[redacted]");
  }
}

void RedactMessage(pb::Message* message, bool sensitive) {
  if (message->GetDescriptor()->full_name() == "google.protobuf.Any") {
    return RedactAny(static_cast<pb::Any*>(message), sensitive);
  }
  const pb::Reflection& reflection = *message->GetReflection();
  std::vector<const Field*> fields;
  reflection.ListFields(*message, &fields);
  for (const Field* field : fields) {
    const bool hide = sensitive || field->options().GetExtension(validate::sensitive);
    if (field->cpp_type() != Field::CPPTYPE_MESSAGE) {
      if (hide) RedactField(message, field);
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
        RedactMessage(reflection.MutableRepeatedMessage(message, field, i), hide);
      }
    } else {
      RedactMessage(reflection.MutableMessage(message, field), hide);
    }
  }
}

}  // namespace

void Redact(pb::Message* message) {
  RedactMessage(message, false);
}

}  // namespace sluice::config
