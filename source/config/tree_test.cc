// The tree of YAML and JSON: positions, anchors, merge keys, limits. Single-threaded.
#include "source/config/tree.h"

#include <catch2/catch.hpp>
#include <chrono>

namespace sluice::config {
namespace {

std::string Print(const Node* node) {
  if (node == nullptr) return "none";
  switch (node->kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kScalar:
      return node->quoted ? "\"" + node->text + "\"" : node->text;
    default:
      break;
  }
  std::string out = node->IsMapping() ? "{" : "[";
  for (const Node::Entry& entry : node->entries) {
    if (out.size() > 1) out += ",";
    if (entry.key != nullptr) out += entry.key->text + ":";
    out += Print(entry.value);
  }
  return out + (node->IsMapping() ? "}" : "]");
}

std::string Read(std::string_view text, bool json) {
  Tree tree;
  Diagnostics diagnostics;
  const int file = diagnostics.source().AddFile("f");
  const Node* root =
      json ? tree.ReadJson(text, file, diagnostics) : tree.ReadYaml(text, file, diagnostics);
  return diagnostics.ok() ? Print(root) : diagnostics.problems()[0].ToString();
}

TEST_CASE("YAML becomes a tree") {
  const auto [text, want] = GENERATE(table<std::string, std::string>({
      {"a: 1\nb: [x, 'y', \"z\"]\n", "{a:1,b:[x,\"y\",\"z\"]}"},
      {"a: &x {p: 1}\nb: *x\n", "{a:{p:1},b:{p:1}}"},
      {"a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n", "{a:{p:1,q:2},b:{q:3,p:1}}"},
      {"a: &x {p: 1}\nc: &y {p: 2, r: 3}\nb: {<<: [*x, *y]}\n",
       "{a:{p:1},c:{p:2,r:3},b:{p:1,r:3}}"},
      {"!ignore shared: &x {p: 1}\nb: *x\n", "{b:{p:1}}"},
      {"a: ~\nb:\n", "{a:null,b:null}"},
      {"a: !!str 12\n", "{a:\"12\"}"},
      {"a: 1\n---\n", "{a:1}"},
      {"", "none"},
      {"a: 1\na: 2\n", "f:2:1: duplicate key 'a', first set in line 1"},
      {"l:\n- {n: 1, n: 2}\n", "f:2:10: l[0]: duplicate key 'n', first set in line 2"},
      {"a: 1\n---\nb: 2\n", "f:3:1: YAML: a second YAML document: only one is read"},
      {"a: !other 1\n", "f:1:4: YAML: unknown tag '!other'"},
      {"a: *nope\n", "f:1:4: YAML: the referenced anchor is not defined"},
      {"a: &x [*x]\n", "f:1:8: YAML: alias to a node that contains it"},
      {"{[a]: 1}\n", "f:1:2: YAML: a key must be a scalar"},
      {"a: {<<: 3}\n",
       "f:1:9: YAML: the value of the merge key '<<' must be a mapping or a list of mappings"},
      {"a:\n\tb: 1\n", "f:2:3: YAML: illegal map value"},
  }));
  INFO(text);
  CHECK(Read(text, false) == want);
}

TEST_CASE("JSON becomes a tree") {
  const auto [text, want] = GENERATE(table<std::string, std::string>({
      {R"({"a": 1, "b": [true, null, "x"]})", "{a:1,b:[true,null,\"x\"]}"},
      {R"("\u00e9\ud83d\ude00\n\/")", "\"\xC3\xA9\xF0\x9F\x98\x80\n/\""},
      {R"(-1.5e3)", "-1.5e3"},
      {R"({"a": 1,})", "f:1:9: JSON: a comma without a value after it"},
      {R"([1 2])", "f:1:4: JSON: expected ',' or ']'"},
      {R"({a: 1})", "f:1:2: JSON: expected a key in double quotes"},
      {R"({"a": 01})", "f:1:7: JSON: unexpected '01'"},
      {R"({"a": nan})", "f:1:7: JSON: unexpected 'nan'"},
      {"{\"a\":\n \"x", "f:2:4: JSON: a string without its closing quote"},
      {R"({} {})", "f:1:4: JSON: unexpected '{' after the value"},
      {R"("\ud800")", "f:1:7: JSON: an escape that JSON does not have"},
      {R"({"a": 1, "a": 2})", "f:1:10: duplicate key 'a', first set in line 1"},
      {R"([)", "f:1:2: JSON: unexpected end"},
  }));
  INFO(text);
  CHECK(Read(text, true) == want);
}

TEST_CASE("hostile texts end in an error, soon") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += Cat("a", i, ": &a", i, " [");
    for (int k = 0; k < 10; ++k) bomb += Cat(k == 0 ? "" : ", ", "*a", i - 1);
    bomb += "]\n";
  }
  std::string block;
  for (int i = 0; i < 10'000; ++i)
    block += std::string(static_cast<size_t>(i % 1000), ' ') + "a:\n";
  const auto [text, want] = GENERATE_COPY(table<std::string, std::string>({
      {bomb, "more than 1000000 nodes"},
      {std::string(10'000, '['), ""},
      {std::string(10'000, '{'), "a key must be a scalar"},
      {block, ""},
      {std::string(1 << 20, '['), ""},
      {"a: [" + std::string(4 << 20, ',') + "]", ""},
      {"[" + std::string(200, '[') + std::string(201, ']'), "nested deeper than 100"},
      // yaml-cpp sees empty documents without end behind it.
      {",:5ma 7x, x]\nb: &b [*a, *a]\nc:'&c R*b, *b]\nd: [*c, *c]\n", "breaks off"},
  }));
  const auto start = std::chrono::steady_clock::now();
  for (const bool json : {false, true}) {
    const std::string problem = Read(text, json);
    INFO(problem);
    CHECK(problem.starts_with("f:"));
    if (!json) CHECK(problem.find(want) != problem.npos);
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

TEST_CASE("UTF-8 is checked") {
  const auto [text, want] = GENERATE(table<std::string, size_t>({
      {"abc", std::string::npos},
      {"\xC3\xA9\xF0\x9F\x98\x80", std::string::npos},
      {std::string("a\0b", 3), 1},
      {"ab\xFF", 2},
      {"\xC0\xAF", 0},
      {"\xED\xA0\x80", 0},
      {"\xF4\x90\x80\x80", 0},
      {"x\xC3", 1},
  }));
  CHECK(FindInvalidUtf8(text) == want);
}

TEST_CASE("positions are those of the longest known prefix") {
  SourceMap map;
  const int file = map.AddFile("f");
  map.Set("a.b[0]", {3, 1, file});
  map.Set("m[\"x.y]\"].c", {5, 2, file});
  CHECK(map.Find("a.b[0].c.d").line == 3);
  CHECK(map.Find("a.b[1]").line == 0);
  CHECK(map.Find("m[\"x.y]\"].c").line == 5);
  CHECK(map.Find("").line == 0);
}

}  // namespace
}  // namespace sluice::config
