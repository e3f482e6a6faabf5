// Reading of runtime values. Main thread.
#include "source/config/runtime_layers.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "source/base/strings.h"
#include "source/config/loader.h"
#include "source/config/proto_json.h"

namespace sluice::config {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::streamsize kMaxFile = 64 * 1024;

void SetNumber(double number, RuntimeValue* value) {
  value->number = number;
  // 2^63: what is above is no count of anything.
  if (number >= 0 && number < 9.2e18) value->integer = static_cast<uint64_t>(std::floor(number));
}

std::string NumberText(double number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), number).ptr;
  return {text, end};
}

std::optional<Fraction> ParseFraction(std::string_view text) {
  if (text.find("numerator") == text.npos && text.find("denominator") == text.npos) return {};
  envoy::type::v3::FractionalPercent percent;
  Diagnostics diagnostics;
  if (!ReadYaml(text, diagnostics, &percent)) return {};
  return Fraction::Of(percent);
}

absl::Status AddValue(const std::string& key, const google::protobuf::Value& value,
                      RuntimeLayer* layer);

absl::Status AddStruct(const std::string& prefix, const google::protobuf::Struct& config,
                       RuntimeLayer* layer) {
  for (const auto& [name, value] : config.fields()) {
    const std::string key = prefix.empty() ? name : Cat(prefix, ".", name);
    if (absl::Status status = AddValue(key, value, layer); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status AddValue(const std::string& key, const google::protobuf::Value& value,
                      RuntimeLayer* layer) {
  using google::protobuf::Value;
  RuntimeValue out;
  switch (value.kind_case()) {
    case Value::kNumberValue:
      out.text = NumberText(value.number_value());
      SetNumber(value.number_value(), &out);
      break;
    case Value::kBoolValue:
      out.text = value.bool_value() ? "true" : "false";
      out.flag = value.bool_value();
      break;
    case Value::kStringValue:
      out = ParseRuntimeValue(value.string_value());
      break;
    case Value::kStructValue: {
      const auto& fields = value.struct_value().fields();
      if (!fields.contains("numerator") && !fields.contains("denominator"))
        return AddStruct(key, value.struct_value(), layer);
      out = ParseRuntimeValue(ToJson(value.struct_value(), {.pretty = false}));
      if (!out.fraction) return Invalid("Invalid runtime entry value for ", key);
      break;
    }
    default:
      return Invalid("Invalid runtime entry value for ", key);
  }
  layer->values.insert_or_assign(key, std::move(out));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadValue(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text(kMaxFile + 1, '\0');
  file.read(text.data(), kMaxFile + 1);
  if (file.bad() || !file.is_open())
    return absl::UnavailableError(Cat("cannot read '", path.string(), "'"));
  if (file.gcount() > kMaxFile)
    return Invalid("'", path.string(), "' has more than ", kMaxFile, " bytes");
  text.resize(static_cast<size_t>(file.gcount()));
  std::string value;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end == rest.npos ? end : end + 1);
    rest.remove_prefix(line.size());
    if (!line.starts_with('#')) value += line;
  }
  value.resize(value.find_last_not_of(" \t\r\n") + 1);
  return value;
}

absl::Status AddDirectory(const std::filesystem::path& directory, const std::string& prefix,
                          int depth, RuntimeLayer* layer) {
  if (depth > kMaxDepth) return Invalid("'", directory.string(), "' is nested too deeply");
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (name.starts_with("..")) continue;
    const std::string key = prefix.empty() ? name : Cat(prefix, ".", name);
    std::error_code kind;
    if (entries->is_directory(kind)) {
      absl::Status status = AddDirectory(entries->path(), key, depth + 1, layer);
      if (!status.ok()) return status;
    } else if (entries->is_regular_file(kind)) {
      auto value = ReadValue(entries->path());
      if (!value.ok()) return value.status();
      layer->values.insert_or_assign(key, ParseRuntimeValue(*value));
    }
  }
  if (error)
    return absl::UnavailableError(Cat("cannot read '", directory.string(), "': ", error.message()));
  return absl::OkStatus();
}

}  // namespace

RuntimeValue ParseRuntimeValue(std::string_view text) {
  RuntimeValue value;
  value.text = text;
  const std::string_view trimmed = Trim(text);
  double number = 0;
  const auto [end, error] =
      std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), number);
  if (!trimmed.empty() && error == std::errc() && end == trimmed.data() + trimmed.size() &&
      std::isfinite(number)) {
    SetNumber(number, &value);
  } else if (EqualsIgnoreCase(trimmed, "true") || EqualsIgnoreCase(trimmed, "false")) {
    value.flag = EqualsIgnoreCase(trimmed, "true");
  } else {
    value.fraction = ParseFraction(trimmed);
  }
  return value;
}

absl::Status ReadStaticLayer(const google::protobuf::Struct& config, RuntimeLayer* layer) {
  return AddStruct("", config, layer);
}

absl::Status ReadDiskLayer(const std::string& directory, RuntimeLayer* layer) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error))
    return absl::NotFoundError(Cat("there is no directory '", directory, "'"));
  return AddDirectory(directory, "", 1, layer);
}

}  // namespace sluice::config
