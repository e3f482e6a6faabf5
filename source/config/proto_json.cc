// Protobuf messages as JSON, for the admin pages. Pure; any thread.
#include "source/config/proto_json.h"

#include <memory>
#include <vector>

#include "google/protobuf/any.pb.h"
#include "google/protobuf/util/json_util.h"
#include "source/base/strings.h"
#include "source/config/known_api.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

// Empties what the printer could not open: it would refuse the whole message.
void ClearUnknownAnys(pb::Message* message) {
  const pb::Reflection& reflection = *message->GetReflection();
  if (message->GetDescriptor()->full_name() == "google.protobuf.Any") {
    auto* any = static_cast<pb::Any*>(message);
    const std::string& url = any->type_url();
    const pb::Descriptor* type = SupportedMessage(std::string_view(url).substr(url.rfind('/') + 1));
    if (type == nullptr) return any->Clear();
    std::unique_ptr<pb::Message> content(
        pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
    if (!content->ParsePartialFromString(any->value())) return any->Clear();
    ClearUnknownAnys(content.get());
    any->set_value(content->SerializePartialAsString());
    return;
  }
  std::vector<const Field*> fields;
  reflection.ListFields(*message, &fields);
  for (const Field* field : fields) {
    if (field->cpp_type() != Field::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      ClearUnknownAnys(reflection.MutableMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
      ClearUnknownAnys(reflection.MutableRepeatedMessage(message, field, i));
    }
  }
}

}  // namespace

std::string ToJson(const pb::Message& message, const JsonOptions& options) {
  pb::util::JsonPrintOptions print;
  print.add_whitespace = options.pretty;
  print.preserve_proto_field_names = true;
  print.always_print_primitive_fields = options.print_defaults;
  std::string out;
  if (pb::util::MessageToJsonString(message, &out, print).ok()) return out;
  std::unique_ptr<pb::Message> copy(message.New());
  copy->CopyFrom(message);
  ClearUnknownAnys(copy.get());
  out.clear();
  const auto status = pb::util::MessageToJsonString(*copy, &out, print);
  return status.ok()
             ? out
             : Cat("{\"error\": \"", message.GetDescriptor()->full_name(), " cannot be shown\"}");
}

}  // namespace sluice::config
