// Plays every file below test/cases six times: over memory and over TCP, with the bytes cut in
// three ways. One test for each file; SLUICE_CASE=<part of a file name> plays these only,
// SLUICE_SEED=<number> repeats the random cuts of an earlier run. Cases mostly wait, so Bazel plays
// several shards at a time.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include <catch2/catch.hpp>

#include "absl/strings/str_join.h"
#include "source/base/strings.h"
#include "test/case_runner/run.h"

namespace sluice::cases {
namespace {

struct File {
  std::string name;
  std::string text;
};

std::string Environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

// Bazel's test sharding: every file belongs to one of the shards.
std::vector<File> OfThisShard(std::vector<File> files) {
  const auto shards = ParseDecimal<size_t>(Environment("TEST_TOTAL_SHARDS", "")).value_or(1);
  const auto index = ParseDecimal<size_t>(Environment("TEST_SHARD_INDEX", "")).value_or(0);
  std::ofstream(Environment("TEST_SHARD_STATUS_FILE", "/dev/null"));  // Says that we know of it.
  size_t i = 0;
  std::erase_if(files, [&](const File&) { return i++ % shards != index; });
  return files;
}

const std::vector<File>& Files() {
  static const std::vector<File> files = [] {
    std::vector<File> found;
    const std::string wanted = Environment("SLUICE_CASE", "");
    for (const auto& entry : std::filesystem::recursive_directory_iterator("test/cases")) {
      const std::string name = std::filesystem::relative(entry.path(), "test/cases").string();
      if (entry.path().extension() != ".yaml" || name.find(wanted) == std::string::npos) continue;
      std::ifstream file(entry.path());
      found.push_back({name, std::string(std::istreambuf_iterator<char>(file), {})});
    }
    std::sort(found.begin(), found.end(),
              [](const File& a, const File& b) { return a.name < b.name; });
    return OfThisShard(std::move(found));
  }();
  return files;
}

uint64_t Seed() {
  static const uint64_t seed =
      ParseDecimal<uint64_t>(Environment("SLUICE_SEED", "")).value_or(std::random_device()());
  return seed;
}

constexpr std::pair<Transport, const char*> kTransports[] = {{Transport::kMemory, "memory"},
                                                             {Transport::kTcp, "TCP"}};
constexpr std::pair<Chunking, const char*> kChunkings[] = {{Chunking::kAll, "all at once"},
                                                           {Chunking::kOne, "byte by byte"},
                                                           {Chunking::kRandom, "random cuts"}};

TEST_CASE("cases") {
  REQUIRE(!Files().empty());
  for (const File& file : Files()) {
    DYNAMIC_SECTION(file.name) {
      for (const auto& [transport, transport_name] : kTransports) {
        for (const auto& [chunking, chunking_name] : kChunkings) {
          const std::vector<std::string> failures =
              RunCase(file.text, {transport, chunking, Seed(), Environment("TEST_TMPDIR", "/tmp")});
          INFO(file.name << " over " << transport_name << ", " << chunking_name
                         << ", SLUICE_SEED=" << Seed());
          const std::string problems = absl::StrJoin(failures, "\n");
          CHECK(problems == "");
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice::cases
