// The text of a configuration as a tree whose every node knows its line and column; YAML and JSON
// give the same tree. Built and read by the thread that loads.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "source/config/diagnostics.h"

namespace sluice::config {

/// Limits of a source text: everything beyond is an error, found before it costs memory or time.
inline constexpr size_t kMaxSourceBytes = 16 << 20;
inline constexpr int kMaxDepth = 100;
/// Nodes after the expansion of aliases and merge keys.
inline constexpr uint32_t kMaxNodes = 1'000'000;

struct Node {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMapping };

  /// A key and its value; the elements of a sequence have no key.
  struct Entry {
    const Node* key = nullptr;
    const Node* value = nullptr;
  };

  Kind kind = Kind::kNull;
  /// A scalar that was quoted (or tagged !!str) is text; a plain one is what the field that it is
  /// for makes of it.
  bool quoted = false;
  /// A key tagged !ignore: its entry is left out.
  bool ignored = false;
  uint8_t height = 1;  ///< of the tree below, aliases expanded
  int line = 0;
  int column = 0;
  uint32_t size = 1;  ///< nodes of the tree below and this one, aliases expanded
  std::string text;
  std::vector<Entry> entries;

  bool IsMapping() const { return kind == Kind::kMapping; }
  bool IsSequence() const { return kind == Kind::kSequence; }
  bool IsScalar() const { return kind == Kind::kScalar; }
  bool IsNull() const { return kind == Kind::kNull; }

  /// The value of a mapping's key, null if it has none.
  const Node* Find(std::string_view key) const;
  /// `a mapping`, `a list`, `null` or the quoted scalar: for messages.
  std::string Describe() const;
};

/// Owns the nodes. Aliases make several entries point to one node: the tree is a graph without
/// cycles.
class Tree {
 public:
  /// Reads one YAML 1.2 document (yaml-cpp's dialect) with anchors, aliases, merge keys `<<` and
  /// the tag `!ignore`. An error goes to `diagnostics` with its place in `file`, and the result is
  /// null; so is that of an empty document. A duplicate key is an error.
  const Node* ReadYaml(std::string_view text, int file, Diagnostics& diagnostics);

  /// Reads one JSON text (RFC 8259, strict). Errors as above.
  const Node* ReadJson(std::string_view text, int file, Diagnostics& diagnostics);

  /// A new node that this tree owns.
  Node* Add(Node::Kind kind, int line, int column);

 private:
  std::deque<Node> nodes_;
};

/// Reports the keys that stand twice in a mapping, whose path is `path`.
void CheckDuplicateKeys(const Node& mapping, std::string_view path, int file,
                        Diagnostics& diagnostics);

/// The first byte of `text` that is not UTF-8 (RFC 3629) or is NUL; npos if all is well.
size_t FindInvalidUtf8(std::string_view text);

}  // namespace sluice::config
