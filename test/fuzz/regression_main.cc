// Runs a fuzz target over the files of its corpus, so that what once went wrong is tried by every
// test run. Arguments: folders or files. One thread.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

size_t Run(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // What is run is named before it is run: a crash ends the process.
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);
  // Exactly as long as the input, so that a sanitizer sees a read beyond its end.
  const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  // Every beginning of a short input is an input, too.
  if (copy.size() <= 512) {
    for (size_t size = 0; size < copy.size(); ++size) {
      const std::vector<uint8_t> part(copy.begin(),
                                      copy.begin() + static_cast<std::ptrdiff_t>(size));
      LLVMFuzzerTestOneInput(part.data(), part.size());
    }
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  size_t inputs = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      inputs += Run(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_directory()) inputs += Run(entry.path());
    }
  }
  std::printf("%zu inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}
