// Field masks that also look into Any. Pure.
#include "source/server/admin/mask.h"

#include <memory>
#include <vector>

#include "google/protobuf/any.pb.h"
#include "source/config/known_api.h"

namespace sluice::admin {
namespace {

namespace pb = google::protobuf;

std::string_view TakeUntil(char separator, std::string_view* rest) {
  const std::string_view part = rest->substr(0, rest->find(separator));
  rest->remove_prefix(std::min(part.size() + 1, rest->size()));
  return part;
}

}  // namespace

Mask Mask::Parse(std::string_view paths) {
  Mask mask;
  while (!paths.empty()) {
    std::string_view path = TakeUntil(',', &paths);
    Mask* node = &mask;
    bool covered = false;  // by a shorter path that came before
    while (!path.empty() && !covered) {
      const auto [entry, added] = node->fields_.try_emplace(std::string(TakeUntil('.', &path)));
      covered = !added && entry->second.fields_.empty();
      node = &entry->second;
    }
    if (!covered) node->fields_.clear();
  }
  return mask;
}

bool Mask::TrimAny(pb::Message* message) const {
  auto* any = static_cast<pb::Any*>(message);
  const std::string& url = any->type_url();
  const pb::Descriptor* type =
      config::SupportedMessage(std::string_view(url).substr(url.rfind('/') + 1));
  if (type == nullptr) return false;
  const std::unique_ptr<pb::Message> content(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!content->ParsePartialFromString(any->value()) || !Trim(content.get())) return false;
  any->set_value(content->SerializePartialAsString());
  return true;
}

bool Mask::Trim(pb::Message* message) const {
  if (fields_.empty()) return true;
  const pb::Descriptor& type = *message->GetDescriptor();
  if (type.full_name() == "google.protobuf.Any") return TrimAny(message);
  const pb::Reflection& reflection = *message->GetReflection();
  for (const auto& [name, below] : fields_) {
    const pb::FieldDescriptor* field = type.FindFieldByName(name);
    if (field == nullptr) return false;
    if (below.fields_.empty()) continue;
    if (field->is_repeated() || field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE)
      return false;
    if (reflection.HasField(*message, field) &&
        !below.Trim(reflection.MutableMessage(message, field)))
      return false;
  }
  std::vector<const pb::FieldDescriptor*> present;
  reflection.ListFields(*message, &present);
  for (const pb::FieldDescriptor* field : present) {
    if (!fields_.contains(field->name())) reflection.ClearField(message, field);
  }
  return true;
}

}  // namespace sluice::admin
