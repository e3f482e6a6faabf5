// YAML into the tree, from yaml-cpp's events. The one place that includes yaml-cpp; used by the
// thread that loads.
#include <algorithm>
#include <istream>
#include <streambuf>

#include "source/config/tree.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/parser.h"

namespace sluice::config {
namespace {

// Bytes as a stream, without a copy.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // only read
    setg(begin, begin, begin + text.size());
  }
};

// yaml-cpp reports by exceptions; ours are its own, so that one handler shows both.
[[noreturn]] void Refuse(int line, int column, const std::string& message) {
  YAML::Mark mark;
  mark.line = line - 1;
  mark.column = column - 1;
  throw YAML::ParserException(mark, message);
}
[[noreturn]] void Refuse(const Node& node, const std::string& message) {
  Refuse(node.line, node.column, message);
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Tree& tree, int file, Diagnostics& diagnostics)
      : tree_(tree), file_(file), diagnostics_(diagnostics) {}

  const Node* root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node* node = Add(Node::Kind::kNull, mark, anchor);
    Place(node);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node* node = Add(Node::Kind::kScalar, mark, anchor);
    node->text = value;
    if (tag == "!" || tag == "tag:yaml.org,2002:str") {
      node->quoted = true;
    } else if (tag == "!ignore") {
      node->ignored = true;
    } else {
      CheckTag(tag, *node);
    }
    Place(node);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto it = anchors_.find(anchor);
    if (it == anchors_.end()) Refuse(mark.line + 1, mark.column + 1, "alias without an anchor");
    for (const Frame& frame : open_) {
      if (frame.node == it->second)
        Refuse(mark.line + 1, mark.column + 1, "alias to a node that contains it");
    }
    Count(it->second->size, mark.line + 1, mark.column + 1);
    Place(it->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    Open(Node::Kind::kSequence, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    Open(Node::Kind::kMapping, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override {
    Node& node = *open_.back().node;
    std::erase_if(node.entries, [](const Node::Entry& entry) { return entry.key->ignored; });
    ExpandMergeKeys(node);
    CheckDuplicateKeys(node, Path(), file_, diagnostics_);
    Close();
  }

 private:
  struct Frame {
    Node* node;
    const Node* key = nullptr;  // of a mapping: the key whose value comes next
  };

  Node* Add(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    Count(1, mark.line + 1, mark.column + 1);
    Node* node = tree_.Add(kind, mark.line + 1, mark.column + 1);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    return node;
  }

  // Bounds what aliases and merge keys expand to.
  void Count(uint32_t nodes, int line, int column) {
    count_ += nodes;
    if (count_ > kMaxNodes)
      Refuse(line, column, Cat("more than ", kMaxNodes, " nodes, aliases expanded"));
  }

  static void CheckTag(const std::string& tag, const Node& node) {
    static constexpr std::string_view kKnown[] = {"",
                                                  "?",
                                                  "tag:yaml.org,2002:map",
                                                  "tag:yaml.org,2002:seq",
                                                  "tag:yaml.org,2002:int",
                                                  "tag:yaml.org,2002:float",
                                                  "tag:yaml.org,2002:bool"};
    if (std::find(std::begin(kKnown), std::end(kKnown), tag) == std::end(kKnown)) {
      Refuse(node, "unknown tag " + Quoted(tag));
    }
  }

  void Open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    Node* node = Add(kind, mark, anchor);
    if (tag != "!") CheckTag(tag, *node);  // a container without a tag in quoted style
    if (!open_.empty() && open_.back().node->IsMapping() && open_.back().key == nullptr) {
      Refuse(*node, "a key must be a scalar");
    }
    if (open_.size() >= static_cast<size_t>(kMaxDepth))
      Refuse(*node, Cat("nested deeper than ", kMaxDepth));
    open_.push_back({node});
  }

  void Close() {
    Node* node = open_.back().node;
    open_.pop_back();
    Place(node);
  }

  // Puts a finished node where it belongs.
  void Place(const Node* node) {
    if (open_.empty()) {
      root_ = node;
      return;
    }
    Frame& frame = open_.back();
    if (frame.node->IsMapping() && frame.key == nullptr) {
      if (!node->IsScalar()) Refuse(*node, "a key must be a scalar");
      frame.key = node;
      return;
    }
    AddEntry(*frame.node, {frame.key, node});
    frame.key = nullptr;
  }

  static void AddEntry(Node& parent, Node::Entry entry) {
    parent.size += entry.value->size + (entry.key != nullptr ? 1 : 0);
    parent.height = std::max<int>(parent.height, entry.value->height + 1);
    if (parent.height > kMaxDepth)
      Refuse(parent, Cat("nested deeper than ", kMaxDepth, ", aliases expanded"));
    parent.entries.push_back(entry);
  }

  // `<<: *a` and `<<: [*a, *b]`: their entries are those of the mapping, unless it or an earlier
  // one sets the key.
  void ExpandMergeKeys(Node& node) {
    std::vector<const Node*> sources;
    std::erase_if(node.entries, [&](const Node::Entry& entry) {
      if (entry.key->text != "<<" || entry.key->quoted) return false;
      if (entry.value->IsSequence()) {
        for (const Node::Entry& element : entry.value->entries) sources.push_back(element.value);
      } else {
        sources.push_back(entry.value);
      }
      return true;
    });
    if (sources.empty()) return;
    StringSet set;
    for (const Node::Entry& entry : node.entries) set.insert(entry.key->text);
    for (const Node* source : sources) {
      if (!source->IsMapping())
        Refuse(*source, "the value of the merge key '<<' must be a mapping or a list of mappings");
      for (const Node::Entry& entry : source->entries) {
        Count(entry.value->size + 1, node.line, node.column);
        if (set.insert(entry.key->text).second) AddEntry(node, entry);
      }
    }
  }

  // Of the node that is open, in the words of the source.
  std::string Path() const {
    std::string path;
    for (size_t i = 0; i + 1 < open_.size(); ++i) {
      const Frame& frame = open_[i];
      path = frame.node->IsMapping() ? ChildPath(path, frame.key->text)
                                     : ElementPath(path, frame.node->entries.size());
    }
    return path;
  }

  Tree& tree_;
  const int file_;
  Diagnostics& diagnostics_;
  const Node* root_ = nullptr;
  std::vector<Frame> open_;
  absl::flat_hash_map<YAML::anchor_t, Node*> anchors_;
  uint32_t count_ = 0;
};

// Refuses whatever holds anything: a second document.
class NothingMore : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override { Second(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    Second(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Second(mark);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Second(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapEnd() override {}

 private:
  [[noreturn]] static void Second(const YAML::Mark& mark) {
    Refuse(mark.line + 1, mark.column + 1, "a second YAML document: only one is read");
  }
};

constexpr int kMaxEmptyDocuments = 100;

}  // namespace

const Node* Tree::ReadYaml(std::string_view text, int file, Diagnostics& diagnostics) {
  TreeBuilder builder(*this, file, diagnostics);
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) {
      NothingMore nothing_more;
      // Behind some broken texts the parser sees empty documents without end.
      for (int i = 0; parser.HandleNextDocument(nothing_more); ++i) {
        if (i == kMaxEmptyDocuments) {
          diagnostics.ErrorAt({1, 1, file}, "",
                              "YAML: the text breaks off: is a quote or bracket not closed?");
          return nullptr;
        }
      }
    }
  } catch (const YAML::Exception& error) {
    const bool placed = !error.mark.is_null();
    diagnostics.ErrorAt(
        {placed ? error.mark.line + 1 : 1, placed ? error.mark.column + 1 : 1, file}, "",
        Cat("YAML: ", error.msg));
    return nullptr;
  } catch (const std::exception& error) {
    diagnostics.ErrorAt({1, 1, file}, "", Cat("YAML: ", error.what()));
    return nullptr;
  }
  return builder.root();
}

}  // namespace sluice::config
