// Keys, layers and handles of the runtime.
#include "source/config/runtime.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "source/base/strings.h"
#include "source/config/loader.h"
#include "source/config/runtime_layers.h"

namespace sluice::config {
namespace {

RuntimeLayer Layer(std::string name,
                   std::initializer_list<std::pair<std::string, std::string>> texts) {
  RuntimeLayer layer{std::move(name), {}};
  for (const auto& [key, text] : texts) layer.values[key] = ParseRuntimeValue(text);
  return layer;
}

// Draws what it is told to.
struct Dice {
  uint64_t Below(uint64_t bound) {
    asked = bound;
    return next;
  }
  uint64_t next = 0;
  uint64_t asked = 0;
};

TEST_CASE("texts as values") {
  struct {
    std::string_view text;
    std::optional<double> number;
    std::optional<uint64_t> integer;
    std::optional<bool> flag;
    std::optional<uint32_t> numerator, denominator;
  } const cases[] = {
      {"7", 7, 7, {}, {}, {}},
      {" 7.9 ", 7.9, 7, {}, {}, {}},
      {"-3", -3, {}, {}, {}, {}},
      {"1e3", 1000, 1000, {}, {}, {}},
      {"1e30", 1e30, {}, {}, {}, {}},
      {"7x", {}, {}, {}, {}, {}},
      {"inf", {}, {}, {}, {}, {}},
      {"", {}, {}, {}, {}, {}},
      {"true", {}, {}, true, {}, {}},
      {"FALSE", {}, {}, false, {}, {}},
      {"truely", {}, {}, {}, {}, {}},
      {"numerator: 5", {}, {}, {}, 5, 100},
      {"{\"numerator\": 5, \"denominator\": \"MILLION\"}", {}, {}, {}, 5, 1'000'000},
      {"numerator: 5\ndenominator: TEN_THOUSAND", {}, {}, {}, 5, 10'000},
      {"numerator: x", {}, {}, {}, {}, {}},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const RuntimeValue value = ParseRuntimeValue(c.text);
    CHECK(value.text == c.text);
    CHECK(value.number == c.number);
    CHECK(value.integer == c.integer);
    CHECK(value.flag == c.flag);
    CHECK(value.fraction.has_value() == c.numerator.has_value());
    if (value.fraction && c.numerator) {
      CHECK(value.fraction->numerator == *c.numerator);
      CHECK(value.fraction->denominator == *c.denominator);
    }
  }
}

TEST_CASE("handles follow the layers, the last that has the key wins") {
  Runtime runtime;
  const RuntimeUInt32 number(&runtime, "n", 1);
  const RuntimeDouble real(&runtime, "d", 0.5);
  const RuntimePercent percent(&runtime, "p", 25);
  const RuntimeFlag flag(&runtime, "f", true);
  const RuntimeFraction share(&runtime, "s", {30, 100});
  const auto check = [&](uint32_t n, double d, double p, bool f, uint32_t numerator) {
    CHECK(number.Get() == n);
    CHECK(real.Get() == d);
    CHECK(percent.Get() == p);
    CHECK(flag.Get() == f);
    CHECK(share.Get().numerator == numerator);
  };
  check(1, 0.5, 25, true, 30);
  runtime.Publish(
      {Layer("a", {{"n", "2"}, {"d", "1.5"}, {"p", "99.5"}, {"f", "false"}, {"s", "31"}})});
  check(2, 1.5, 99.5, false, 31);
  runtime.Publish({Layer("a", {{"n", "2"}, {"s", "31"}}), Layer("b", {{"n", "3"}})});
  check(3, 0.5, 25, true, 31);
  CHECK(runtime.Find("n")->text == "3");
  CHECK(runtime.keys() == 2);
  SECTION("what is of another kind or out of range leaves the default") {
    runtime.Publish({Layer(
        "a", {{"n", "4294967296"}, {"d", "true"}, {"p", "100.5"}, {"f", "1"}, {"s", "-1"}})});
    check(1, 0.5, 25, true, 30);
  }
  SECTION("a fraction keeps its denominator") {
    runtime.Publish({Layer("a", {{"s", "{numerator: 5, denominator: MILLION}"}})});
    CHECK(share.Get().denominator == 1'000'000);
  }
  SECTION("a handle made later has the value of now") {
    CHECK(RuntimeUInt32(&runtime, "n", 9).Get() == 3);
    CHECK(RuntimeUInt32(&runtime, "none", 9).Get() == 9);
  }
}

TEST_CASE("handles without a runtime or a key are fixed, and outlive it") {
  auto runtime = std::make_unique<Runtime>();
  const RuntimeUInt32 bound(runtime.get(), "n", 1), keyless(runtime.get(), "", 5),
      alone(nullptr, "n", 6);
  runtime->Publish({Layer("a", {{"n", "2"}, {"", "9"}})});
  runtime.reset();
  CHECK(bound.Get() == 2);
  CHECK(keyless.Get() == 5);
  CHECK(alone.Get() == 6);
  CHECK(bound.follows());
  CHECK_FALSE(alone.follows());
}

TEST_CASE("keys that nothing reads") {
  Runtime runtime;
  const RuntimeFlag flag(&runtime, "read", true);
  runtime.Publish({Layer("a", {{"read", "true"}, {"unread", "1"}})});
  CHECK(runtime.UnreadKeys() == std::vector<std::string>{"unread"});
}

TEST_CASE("fractions draw") {
  Dice dice;
  CHECK_FALSE(RuntimeFraction().Draw(dice));
  CHECK(RuntimeFraction(nullptr, "", {100, 100}).Draw(dice));
  CHECK(RuntimeFraction(nullptr, "", {200, 100}).Draw(dice));
  CHECK(dice.asked == 0);
  const RuntimeFraction share(nullptr, "", {30, 10'000});
  dice.next = 29;
  CHECK(share.Draw(dice));
  CHECK(dice.asked == 10'000);
  dice.next = 30;
  CHECK_FALSE(share.Draw(dice));
  CHECK(share.Holds(10'029));
  CHECK_FALSE(share.Holds(10'030));
  CHECK_FALSE(RuntimeFraction().Holds(0));
}

TEST_CASE("a static layer is flattened") {
  const auto read = [](std::string_view yaml, RuntimeLayer* layer) {
    google::protobuf::Struct config;
    Diagnostics diagnostics;
    REQUIRE(ReadYaml(yaml, diagnostics, &config));
    return ReadStaticLayer(config, layer);
  };
  RuntimeLayer layer;
  REQUIRE(read("a: { b: 1, c: { d: true } }\n\"e.f\": text\ng: { numerator: 5 }\nh: 1.5\n", &layer)
              .ok());
  std::vector<std::string> texts;
  for (const auto& [key, value] : layer.values) texts.push_back(key + "=" + value.text);
  CHECK(texts == std::vector<std::string>{"a.b=1", "a.c.d=true", "e.f=text", "g={\"numerator\":5}",
                                          "h=1.5"});
  CHECK(layer.values["g"].fraction->numerator == 5);
  CHECK(read("a: { b: [1] }", &layer).message() == "Invalid runtime entry value for a.b");
  CHECK_FALSE(read("a: null", &layer).ok());
  CHECK_FALSE(read("a: { numerator: -1 }", &layer).ok());
}

TEST_CASE("a disk layer is a tree of files") {
  char pattern[] = "/tmp/runtime_test.XXXXXX";
  const std::string root = ::mkdtemp(pattern);
  const auto write = [&](const std::string& name, const std::string& text) {
    const std::filesystem::path path = root + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  };
  write("a/b", "5\n");
  write("c", "# why\ntrue \n# more\n");
  write("..2026/c", "7");
  RuntimeLayer layer;
  REQUIRE(ReadDiskLayer(root, &layer).ok());
  CHECK(layer.values.size() == 2);
  CHECK(layer.values["a.b"].integer == 5);
  CHECK(layer.values["c"].flag == true);
  CHECK(absl::IsNotFound(ReadDiskLayer(root + "/none", &layer)));
  write("big", std::string(70'000, 'x'));
  CHECK_FALSE(ReadDiskLayer(root, &layer).ok());
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace sluice::config
