// %COALESCE(...)%: the first of several operators that has a value. Compiled on the main thread,
// rendered on any.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "source/base/strings.h"
#include "source/observe/format/operators.h"

namespace sluice::format_internal {
namespace {

using google::protobuf::Value;

// The text of a field; empty when it is absent or no text.
const std::string& Text(const google::protobuf::Struct& object, const std::string& name) {
  static const std::string& none = *new std::string;
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? none : found->second.string_value();
}

// "NAME", or {"command": "NAME", "param": "ARGUMENT", "max_length": N}.
absl::StatusOr<Operator> CompileOne(const Value& value) {
  if (value.kind_case() == Value::kStringValue)
    return CompileOperator(value.string_value(), nullptr, -1);
  if (value.kind_case() != Value::kStructValue) return Invalid("neither a name nor an object");
  const google::protobuf::Struct& object = value.struct_value();
  for (const auto& [name, field] : object.fields()) {
    if (name != "command" && name != "param" && name != "max_length")
      return Invalid("no such field: '", name, "'");
  }
  const std::string& command = Text(object, "command");
  if (command.empty()) return Invalid("'command' is missing");
  if (command == "COALESCE") return Invalid("COALESCE within COALESCE");
  const std::string_view argument = Text(object, "param");
  const auto length = object.fields().find("max_length");
  if (length == object.fields().end())
    return CompileOperator(command, object.fields().contains("param") ? &argument : nullptr, -1);
  const double number = length->second.number_value();
  if (!(number >= 1 && number <= 65535)) return Invalid("'max_length' is not from 1 to 65535");
  return CompileOperator(command, object.fields().contains("param") ? &argument : nullptr,
                         static_cast<int>(number));
}

absl::Status CompileCoalesce(const std::string_view* argument, Operator* op) {
  constexpr std::string_view kUsage = R"(takes {"operators": ["NAME", {"command": "NAME", ...}]})";
  google::protobuf::Struct config;
  if (argument == nullptr ||
      !google::protobuf::util::JsonStringToMessage(std::string(*argument), &config).ok() ||
      config.fields().size() != 1 || !config.fields().contains("operators")) {
    return Invalid(kUsage);
  }
  const auto& list = config.fields().at("operators").list_value().values();
  if (list.empty()) return Invalid(kUsage);
  for (int i = 0; i < list.size(); ++i) {
    absl::StatusOr<Operator> choice = CompileOne(list[i]);
    if (!choice.ok()) return Invalid("operators[", i, "]: ", choice.status().message());
    op->choices.push_back(*std::move(choice));
  }
  return absl::OkStatus();
}

Rendered Coalesce(const Operator& op, const LogContext& context, std::string* out) {
  const size_t start = out->size();
  for (const Operator& choice : op.choices) {
    const Rendered rendered = choice.render(choice, context, out);
    const size_t length = out->size() - start;
    if (rendered == Rendered::kMissing || length == 0) {
      out->resize(start);
      continue;
    }
    if (choice.max_length >= 0 && length > static_cast<size_t>(choice.max_length))
      out->resize(start + static_cast<size_t>(choice.max_length));
    return rendered;
  }
  return Rendered::kMissing;
}

}  // namespace

absl::Span<const OperatorType> ChoiceOperators() {
  static constexpr OperatorType kOperators[] = {{"COALESCE", CompileCoalesce, Coalesce, true}};
  return kOperators;
}

}  // namespace sluice::format_internal
