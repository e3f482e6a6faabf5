// From files and flags to a checked Bootstrap. Used by the thread that loads.
#include "source/config/loader.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "source/config/binary_reader.h"
#include "source/config/rules.h"
#include "source/config/tree.h"

namespace sluice::config {
namespace {

namespace pb = google::protobuf;

// The whole file, or false after an error.
bool ReadFile(const std::string& path, int file, Diagnostics& diagnostics, std::string* out) {
  const auto refuse = [&](std::string_view message) {
    diagnostics.ErrorAt({0, 0, file}, path, message);
    return false;
  };
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return refuse(Cat("cannot be opened: ", std::strerror(errno)));
  char block[64 << 10];
  while (stream.read(block, sizeof(block)) || stream.gcount() > 0) {
    out->append(block, static_cast<size_t>(stream.gcount()));
    if (out->size() > kMaxSourceBytes)
      return refuse(Cat("is larger than ", kMaxSourceBytes >> 20, " MiB"));
  }
  if (stream.bad()) return refuse(Cat("cannot be read: ", std::strerror(errno)));
  return true;
}

// Text is UTF-8 and not too much of it; false after an error.
bool CheckText(std::string_view text, int file, Diagnostics& diagnostics) {
  if (text.size() > kMaxSourceBytes) {
    diagnostics.ErrorAt({1, 1, file}, "", Cat("is larger than ", kMaxSourceBytes >> 20, " MiB"));
    return false;
  }
  const size_t bad = FindInvalidUtf8(text);
  if (bad == text.npos) return true;
  int line = 1;
  size_t start = 0;
  for (size_t at = text.find('\n'); at < bad; at = text.find('\n', at + 1)) {
    ++line;
    start = at + 1;
  }
  diagnostics.ErrorAt({line, static_cast<int>(bad - start) + 1, file}, "",
                      "a byte that is not UTF-8 text");
  return false;
}

enum class Form { kYaml, kJson };

// False if the text is no tree at all.
bool ReadTree(std::string_view text, Form form, int file, const ReadOptions& options,
              Diagnostics& diagnostics, pb::Message* message) {
  if (!CheckText(text, file, diagnostics)) return false;
  Tree tree;
  const size_t before = diagnostics.errors();
  const Node* root = form == Form::kJson ? tree.ReadJson(text, file, diagnostics)
                                         : tree.ReadYaml(text, file, diagnostics);
  if (root == nullptr || root->IsNull()) {
    if (diagnostics.errors() == before) diagnostics.ErrorAt({1, 1, file}, "", "is empty");
    return false;
  }
  diagnostics.source().Set("", {root->line, root->column, file});
  ProtoReader(file, options, diagnostics).Read(*root, "", message);
  return true;
}

// False if nothing could be read.
bool ReadConfigFile(const LoadOptions& options, Diagnostics& diagnostics, pb::Message* message) {
  const std::string& path = options.config_path;
  const int file = diagnostics.source().AddFile(path);
  std::string text;
  if (!ReadFile(path, file, diagnostics, &text)) return false;
  const bool binary = path.ends_with(".pb");
  if (binary || path.ends_with(".pb_text")) {
    if (!binary && !CheckText(text, file, diagnostics)) return false;
    if (text.empty() || (!binary && text.find_first_not_of(" \t\r\n") == text.npos)) {
      diagnostics.ErrorAt({1, 1, file}, "", "is empty");
      return false;
    }
    return binary ? ReadBinary(text, file, options.read, diagnostics, message)
                  : ReadText(text, file, options.read, diagnostics, message);
  }
  return ReadTree(text, path.ends_with(".json") ? Form::kJson : Form::kYaml, file, options.read,
                  diagnostics, message);
}

}  // namespace

std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> LoadBootstrap(const LoadOptions& options,
                                                                       Diagnostics& diagnostics) {
  auto bootstrap = std::make_unique<envoy::config::bootstrap::v3::Bootstrap>();
  if (options.config_path.empty() && options.config_yaml.empty()) {
    diagnostics.Error("", "no configuration: give --config-path or --config-yaml");
    return nullptr;
  }
  bool readable =
      options.config_path.empty() || ReadConfigFile(options, diagnostics, bootstrap.get());
  if (!options.config_yaml.empty()) {
    const int file = diagnostics.source().AddFile("--config-yaml");
    readable &= ReadTree(options.config_yaml, Form::kYaml, file, options.read, diagnostics,
                         bootstrap.get());
  }
  if (readable) CheckRules(*bootstrap, "", diagnostics);
  return diagnostics.ok() ? std::move(bootstrap) : nullptr;
}

bool ReadYaml(std::string_view text, Diagnostics& diagnostics, pb::Message* message,
              std::string_view name) {
  const size_t before = diagnostics.errors();
  const int file = diagnostics.source().AddFile(name);
  if (ReadTree(text, Form::kYaml, file, {}, diagnostics, message))
    CheckRules(*message, "", diagnostics);
  return diagnostics.errors() == before;
}

}  // namespace sluice::config
