// Matchers over dynamic metadata. Immutable, any thread.
#include "source/observe/match/metadata_match.h"

#include <algorithm>

#include "source/base/strings.h"

namespace sluice {

using google::protobuf::Struct;
using google::protobuf::Value;

absl::StatusOr<ValueMatcher> ValueMatcher::Build(
    const envoy::type::matcher::v3::ValueMatcher& config) {
  using Config = envoy::type::matcher::v3::ValueMatcher;
  ValueMatcher matcher;
  const auto add_inner = [&matcher](const Config& inner) {
    auto built = Build(inner);
    if (built.ok()) matcher.inner_.push_back(*std::move(built));
    return built.status();
  };
  absl::Status status;
  switch (config.match_pattern_case()) {
    case Config::kNullMatch:
      matcher.kind_ = Kind::kNull;
      break;
    case Config::kDoubleMatch:
      matcher.kind_ = config.double_match().has_range() ? Kind::kRange : Kind::kNumber;
      matcher.start_ = config.double_match().has_range() ? config.double_match().range().start()
                                                         : config.double_match().exact();
      matcher.end_ = config.double_match().range().end();
      break;
    case Config::kStringMatch: {
      matcher.kind_ = Kind::kString;
      auto string = StringMatcher::Build(config.string_match());
      if (string.ok()) matcher.string_.push_back(*std::move(string));
      status = string.status();
      break;
    }
    case Config::kBoolMatch:
      matcher.kind_ = Kind::kBool;
      matcher.flag_ = config.bool_match();
      break;
    case Config::kPresentMatch:
      matcher.kind_ = Kind::kPresent;
      matcher.flag_ = config.present_match();
      break;
    case Config::kListMatch:
      matcher.kind_ = Kind::kList;
      status = add_inner(config.list_match().one_of());
      break;
    case Config::kOrMatch:
      matcher.kind_ = Kind::kOr;
      for (const Config& inner : config.or_match().value_matchers()) {
        if (status.ok()) status = add_inner(inner);
      }
      break;
    case Config::MATCH_PATTERN_NOT_SET:
      return Invalid("a value matcher must say what to match");
  }
  if (!status.ok()) return status;
  return matcher;
}

bool ValueMatcher::Matches(const Value& value) const {
  switch (kind_) {
    case Kind::kNull:
      return value.kind_case() == Value::kNullValue;
    case Kind::kRange:
      return value.has_number_value() && value.number_value() >= start_ &&
             value.number_value() < end_;
    case Kind::kNumber:
      return value.has_number_value() && value.number_value() == start_;
    case Kind::kString:
      return value.has_string_value() && string_[0].Matches(value.string_value());
    case Kind::kBool:
      return value.has_bool_value() && value.bool_value() == flag_;
    case Kind::kPresent:
      return flag_ && value.kind_case() != Value::KIND_NOT_SET && !value.has_struct_value() &&
             !value.has_list_value();
    case Kind::kList: {
      const auto& values = value.list_value().values();
      return std::any_of(values.begin(), values.end(),
                         [this](const Value& one) { return inner_[0].Matches(one); });
    }
    case Kind::kOr:
      return std::any_of(inner_.begin(), inner_.end(),
                         [&value](const ValueMatcher& one) { return one.Matches(value); });
  }
  return false;
}

const Value* MetadataPath::Find(const Struct* fields) const {
  const Value* value = nullptr;
  for (const std::string& key : keys_) {
    if (value != nullptr) fields = value->has_struct_value() ? &value->struct_value() : nullptr;
    if (fields == nullptr) return nullptr;
    const auto found = fields->fields().find(key);
    if (found == fields->fields().end()) return nullptr;
    value = &found->second;
  }
  return value;
}

absl::StatusOr<MetadataMatcher> MetadataMatcher::Build(
    const envoy::type::matcher::v3::MetadataMatcher& config) {
  auto value = ValueMatcher::Build(config.value());
  if (!value.ok()) return value.status();
  return MetadataMatcher(config.filter(), MetadataPath(config.path()), *std::move(value),
                         config.invert());
}

bool MetadataMatcher::Matches(const Exchange& exchange) const {
  const Value* value = path_.Find(exchange.metadata(name_space_));
  return (value != nullptr && value_.Matches(*value)) != invert_;
}

}  // namespace sluice
