// /runtime and /runtime_modify: the values that may change while the process runs. Main thread.
#include <set>

#include "source/base/strings.h"
#include "source/observe/format/json_string.h"
#include "source/server/admin/page.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kUsage =
    "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
    "       or send the parameters as form values\n"
    "use an empty value to remove a previously added override";

void AppendEntry(const std::string& key, const config::Runtime& runtime, std::string* out) {
  AppendTo(out, "  ");
  AppendJsonString(key, out);
  AppendTo(out, ": {\n   \"layer_values\": [");
  std::string_view separator = "\n    ";
  for (const config::RuntimeLayer& layer : runtime.layers()) {
    AppendTo(out, separator);
    const auto found = layer.values.find(key);
    AppendJsonString(found == layer.values.end() ? std::string_view() : found->second.text, out);
    separator = ",\n    ";
  }
  AppendTo(out, "\n   ],\n   \"final_value\": ");
  AppendJsonString(runtime.Find(key)->text, out);
  AppendTo(out, "\n  }");
}

}  // namespace

AdminReply RuntimePage(const AdminRequest&, const AdminContext& context) {
  std::set<std::string> keys;
  std::string out = "{\n \"layers\": [";
  std::string_view separator = "\n  ";
  for (const config::RuntimeLayer& layer : context.runtime->layers()) {
    AppendTo(&out, separator);
    AppendJsonString(layer.name, &out);
    separator = ",\n  ";
    for (const auto& [key, value] : layer.values) keys.insert(key);
  }
  AppendTo(&out, context.runtime->layers().empty() ? "" : "\n ", "],\n \"entries\": {");
  separator = "\n";
  for (const std::string& key : keys) {
    AppendTo(&out, separator);
    AppendEntry(key, *context.runtime, &out);
    separator = ",\n";
  }
  AppendTo(&out, keys.empty() ? "" : "\n ", "}\n}\n");
  return {200, std::move(out), kJson};
}

AdminReply RuntimeModifyPage(const AdminRequest& request, const AdminContext& context) {
  if (request.query.empty()) return {400, std::string(kUsage)};
  const absl::Status changed = context.modify_runtime(request.query);
  if (!changed.ok()) return {503, std::string(Std(changed.message()))};
  return {200, "OK\n"};
}

}  // namespace sluice::admin
