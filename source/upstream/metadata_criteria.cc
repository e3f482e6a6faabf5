// Canonical texts of metadata. See metadata_criteria.h for the threads.
#include "source/upstream/metadata_criteria.h"

#include "source/base/strings.h"

namespace sluice {
namespace {

void AppendPart(std::string_view part, std::string* text) {
  AppendTo(text, part.size(), ":", part);
}

void Put(const google::protobuf::Struct& from, CanonicalFields& fields) {
  for (const auto& [key, value] : from.fields()) fields[key] = CanonicalText(value);
}

}  // namespace

std::string CanonicalText(const google::protobuf::Value& value) {
  using Value = google::protobuf::Value;
  std::string text;
  switch (value.kind_case()) {
    case Value::kNumberValue: {
      const double number = value.number_value() == 0 ? 0 : value.number_value();  // -0 is 0
      return Cat("n", std::string_view(reinterpret_cast<const char*>(&number), sizeof(number)));
    }
    case Value::kStringValue:
      return Cat("s", value.string_value());
    case Value::kBoolValue:
      return value.bool_value() ? "b1" : "b0";
    case Value::kStructValue: {
      CanonicalFields fields;
      Put(value.struct_value(), fields);
      return Cat("m", CanonicalText(fields));
    }
    case Value::kListValue:
      text = "l";
      for (const Value& element : value.list_value().values())
        AppendPart(CanonicalText(element), &text);
      return text;
    default:
      return "0";
  }
}

std::string CanonicalText(const CanonicalFields& fields) {
  std::string text;
  for (const auto& [key, value] : fields) {
    AppendPart(key, &text);
    AppendPart(value, &text);
  }
  return text;
}

std::shared_ptr<const MetadataCriteria> MetadataCriteria::Build(
    const envoy::config::core::v3::Metadata& config,
    const std::shared_ptr<const MetadataCriteria>& base) {
  const auto lb = config.filter_metadata().find("envoy.lb");
  if (lb == config.filter_metadata().end() || lb->second.fields().empty()) return base;
  CanonicalFields fields = base == nullptr ? CanonicalFields() : base->fields();
  Put(lb->second, fields);
  return std::make_shared<const MetadataCriteria>(std::move(fields));
}

MetadataCriteria MetadataCriteria::With(const google::protobuf::Struct& own) const {
  CanonicalFields fields = fields_;
  Put(own, fields);
  return MetadataCriteria(std::move(fields));
}

}  // namespace sluice
