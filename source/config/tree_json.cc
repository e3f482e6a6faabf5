// JSON into the tree: a strict reader of RFC 8259 that knows where it is. Used by the thread that
// loads.
#include <algorithm>
#include <optional>

#include "source/config/tree.h"

namespace sluice::config {
namespace {

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    *out += static_cast<char>(code);
  } else if (code < 0x800) {
    *out += static_cast<char>(0xC0 | code >> 6);
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out += static_cast<char>(0xE0 | code >> 12);
    *out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    *out += static_cast<char>(0xF0 | code >> 18);
    *out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    *out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// Every Read... returns null (or false) after it has reported an error.
class JsonReader {
 public:
  JsonReader(std::string_view text, Tree& tree, int file, Diagnostics& diagnostics)
      : text_(text), tree_(tree), file_(file), diagnostics_(diagnostics) {}

  const Node* ReadDocument() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") Skip(3);
    SkipBlanks();
    if (AtEnd()) return nullptr;
    const Node* root = ReadValue(0);
    if (root == nullptr) return nullptr;
    SkipBlanks();
    if (!AtEnd()) return Fail(Cat("unexpected ", Quoted(text_.substr(at_, 1)), " after the value"));
    return root;
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  int Column() const { return static_cast<int>(at_ - line_start_) + 1; }

  void Skip(size_t count) {
    at_ += count;
    if (line_ == 1 && at_ == 3 && count == 3) line_start_ = 3;  // the byte order mark has no width
  }

  void SkipBlanks() {
    for (; !AtEnd(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') {
        ++line_;
        line_start_ = at_ + 1;
      } else if (c != ' ' && c != '\t' && c != '\r') {
        return;
      }
    }
  }

  std::nullptr_t Fail(std::string_view message) {
    diagnostics_.ErrorAt({line_, Column(), file_}, "", Cat("JSON: ", message));
    return nullptr;
  }

  Node* Add(Node::Kind kind) {
    if (++count_ > kMaxNodes) return Fail(Cat("more than ", kMaxNodes, " nodes"));
    return tree_.Add(kind, line_, Column());
  }

  const Node* ReadValue(int depth) {
    if (depth >= kMaxDepth) return Fail(Cat("nested deeper than ", kMaxDepth));
    switch (Peek()) {
      case '{':
        return ReadContainer(Node::Kind::kMapping, depth);
      case '[':
        return ReadContainer(Node::Kind::kSequence, depth);
      case '"':
        return ReadString();
      case '\0':
        if (AtEnd()) return Fail("unexpected end");
      default:
        return ReadWord();
    }
  }

  const Node* ReadContainer(Node::Kind kind, int depth) {
    const bool mapping = kind == Node::Kind::kMapping;
    const char close = mapping ? '}' : ']';
    Node* node = Add(kind);
    if (node == nullptr) return nullptr;
    ++at_;
    SkipBlanks();
    for (bool first = true; Peek() != close; first = false) {
      if (!first) {
        if (Peek() != ',') return Fail(Cat("expected ',' or '", std::string(1, close), "'"));
        ++at_;
        SkipBlanks();
        if (Peek() == close) return Fail("a comma without a value after it");
      }
      const Node::Entry entry = ReadEntry(mapping, depth);
      if (entry.value == nullptr) return nullptr;
      node->height = std::max<int>(node->height, entry.value->height + 1);
      node->size += entry.value->size + (mapping ? 1 : 0);
      node->entries.push_back(entry);
      SkipBlanks();
    }
    ++at_;
    if (mapping) CheckDuplicateKeys(*node, "", file_, diagnostics_);
    return node;
  }

  Node::Entry ReadEntry(bool mapping, int depth) {
    Node::Entry entry;
    if (mapping) {
      if (Peek() != '"') {
        Fail("expected a key in double quotes");
        return {};
      }
      entry.key = ReadString();
      if (entry.key == nullptr) return {};
      SkipBlanks();
      if (Peek() != ':') {
        Fail("expected ':'");
        return {};
      }
      ++at_;
      SkipBlanks();
    }
    entry.value = ReadValue(depth + 1);
    return entry;
  }

  // A number, true, false or null.
  const Node* ReadWord() {
    const size_t length = std::min(text_.find_first_of(" \t\r\n,]}", at_), text_.size()) - at_;
    const std::string_view word = text_.substr(at_, length);
    if (word != "true" && word != "false" && word != "null" && !IsNumber(word)) {
      return Fail(Cat("unexpected ", word.empty() ? Quoted(text_.substr(at_, 1)) : Quoted(word)));
    }
    Node* node = Add(word == "null" ? Node::Kind::kNull : Node::Kind::kScalar);
    if (node == nullptr) return nullptr;
    if (node->IsScalar()) node->text = word;
    at_ += length;
    return node;
  }

  static bool IsNumber(std::string_view word) {
    size_t at = 0;
    const auto digits = [&] {
      const size_t start = at;
      while (at < word.size() && word[at] >= '0' && word[at] <= '9') ++at;
      return at - start;
    };
    if (at < word.size() && word[at] == '-') ++at;
    const size_t integer = at;
    const size_t count = digits();
    if (count == 0 || (count > 1 && word[integer] == '0')) return false;
    if (at < word.size() && word[at] == '.') {
      ++at;
      if (digits() == 0) return false;
    }
    if (at < word.size() && (word[at] == 'e' || word[at] == 'E')) {
      ++at;
      if (at < word.size() && (word[at] == '+' || word[at] == '-')) ++at;
      if (digits() == 0) return false;
    }
    return at == word.size();
  }

  const Node* ReadString() {
    Node* node = Add(Node::Kind::kScalar);
    if (node == nullptr) return nullptr;
    node->quoted = true;
    for (++at_; Peek() != '"'; ++at_) {
      if (AtEnd()) return Fail("a string without its closing quote");
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) return Fail("a control character in a string");
      if (c != '\\') {
        node->text += c;
      } else if (!ReadEscape(&node->text)) {
        return Fail("an escape that JSON does not have");
      }
    }
    ++at_;
    return node;
  }

  // From the backslash to the last character of the escape.
  bool ReadEscape(std::string* out) {
    ++at_;
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    if (const size_t i = kNames.find(Peek()); i != kNames.npos && !AtEnd()) {
      *out += kValues[i];
      return true;
    }
    const std::optional<uint32_t> high = ReadHex();
    if (!high) return false;
    uint32_t code = *high;
    if (code >= 0xDC00 && code < 0xE000) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      if (text_.substr(at_ + 1, 1) != "\\") return false;
      at_ += 2;
      const std::optional<uint32_t> low = ReadHex();
      if (!low || *low < 0xDC00 || *low >= 0xE000) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (*low - 0xDC00);
    }
    AppendUtf8(code, out);
    return true;
  }

  // uXXXX; stays on its last digit.
  std::optional<uint32_t> ReadHex() {
    if (Peek() != 'u' || at_ + 4 >= text_.size()) return std::nullopt;
    uint32_t code = 0;
    const char* begin = text_.data() + at_ + 1;
    if (std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4) return std::nullopt;
    at_ += 4;
    return code;
  }

  const std::string_view text_;
  Tree& tree_;
  const int file_;
  Diagnostics& diagnostics_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
  uint32_t count_ = 0;
};

}  // namespace

const Node* Tree::ReadJson(std::string_view text, int file, Diagnostics& diagnostics) {
  return JsonReader(text, *this, file, diagnostics).ReadDocument();
}

}  // namespace sluice::config
