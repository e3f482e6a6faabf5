// The text of a configuration as a tree: what YAML and JSON share. Used by the thread that loads.
#include "source/config/tree.h"

namespace sluice::config {

const Node* Node::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key != nullptr && entry.key->text == key) return entry.value;
  }
  return nullptr;
}

std::string Node::Describe() const {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kScalar:
      return Quoted(text);
    case Kind::kSequence:
      return "a list";
    case Kind::kMapping:
      return "a mapping";
  }
  return {};
}

Node* Tree::Add(Node::Kind kind, int line, int column) {
  Node& node = nodes_.emplace_back();
  node.kind = kind;
  node.line = line;
  node.column = column;
  return &node;
}

void CheckDuplicateKeys(const Node& mapping, std::string_view path, int file,
                        Diagnostics& diagnostics) {
  absl::flat_hash_map<absl::string_view, const Node*> seen;
  for (const Node::Entry& entry : mapping.entries) {
    const auto [it, added] = seen.try_emplace(Absl(entry.key->text), entry.key);
    if (added) continue;
    diagnostics.ErrorAt(
        {entry.key->line, entry.key->column, file}, path,
        Cat("duplicate key ", Quoted(entry.key->text), ", first set in line ", it->second->line));
  }
}

size_t FindInvalidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
    };
    const unsigned lead = byte(i);
    if (lead != 0 && lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xF0 && lead < 0xF5   ? 4
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                                                        : 0;
    if (length == 0) return i;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return i;
    }
    // Overlong forms, surrogates, and what lies beyond U+10FFFF.
    const unsigned second = byte(i + 1);
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
      return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

}  // namespace sluice::config
