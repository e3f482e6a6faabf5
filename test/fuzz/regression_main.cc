// Runs a fuzz target over the files of its corpus, so that what once went wrong is tried by every
// test run. Arguments: folders or files. With SLUICE_FUZZ_SECONDS set it goes on with random
// mutations of them, by the seed SLUICE_SEED: slower to find something than libFuzzer, but it needs
// no build of its own. One thread.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::string;
std::vector<Input>& Inputs() {
  static std::vector<Input> inputs;
  return inputs;
}

void Try(const Input& input) {
  // Exactly as long as the input, so that a sanitizer sees a read beyond its end.
  const std::vector<uint8_t> copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

// One change, of the kinds that parsers mind.
void Mutate(Input& input, std::mt19937_64& random) {
  static const char* const kWords[] = {"\r\n",
                                       "\r\n\r\n",
                                       "\n",
                                       "\r",
                                       "\0",
                                       " ",
                                       "\t",
                                       ":",
                                       ",",
                                       ";",
                                       "0\r\n\r\n",
                                       "\xff",
                                       "Content-Length: 5\r\n",
                                       "Transfer-Encoding: chunked\r\n",
                                       "Connection: close\r\n",
                                       "Connection: upgrade\r\nUpgrade: websocket\r\n",
                                       "Expect: 100-continue\r\n",
                                       "HTTP/1.1 100 Continue\r\n\r\n",
                                       "HTTP/1.1 204 No\r\n\r\n",
                                       "HTTP/1.0",
                                       "HEAD",
                                       "POST",
                                       "CONNECT",
                                       "ffffffffffffffff",
                                       "-1",
                                       "Host: b\r\n",
                                       "Trailer: x\r\n"};
  const auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  const size_t at = below(input.size() + 1);
  const size_t size = std::min(below(64) + 1, input.size() - at);
  switch (below(6)) {
    case 0:
      if (at < input.size()) input[at] = static_cast<char>(random());
      break;
    case 1:
      input.erase(at, size);
      break;
    case 2:
      input.insert(at, input.substr(below(input.size() + 1), below(64)));
      break;
    case 3: {
      const Input& other = Inputs()[below(Inputs().size())];
      const size_t from = below(other.size() + 1);
      input.insert(at, other.substr(from, below(other.size() - from + 1)));
      break;
    }
    default: {
      const char* const word = kWords[below(std::size(kWords))];
      input.insert(at, *word == '\0' ? Input(1, '\0') : Input(word));
    }
  }
}

void RunRandom(double seconds, uint64_t seed) {
  std::printf("SLUICE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  size_t tried = 0;
  const char* const keep = std::getenv("SLUICE_FUZZ_LAST");
  while (std::chrono::steady_clock::now() < end) {
    Input input = Inputs()[random() % Inputs().size()];
    for (uint64_t count = 1 + random() % 5; count > 0; --count) Mutate(input, random);
    if (input.size() > 1 << 14) continue;
    // What ends the process is left behind.
    if (keep != nullptr) std::ofstream(keep, std::ios::binary) << input;
    Try(input);
    ++tried;
  }
  std::printf("%zu mutations\n", tried);
}

size_t Run(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // What is run is named before it is run: a crash ends the process.
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);
  Try(bytes);
  // Every beginning of a short input is an input, too.
  if (bytes.size() <= 512) {
    for (size_t size = 0; size < bytes.size(); ++size) Try(bytes.substr(0, size));
  }
  Inputs().push_back(bytes);
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
  const char* const seconds = std::getenv("SLUICE_FUZZ_SECONDS");
  const char* const seed = std::getenv("SLUICE_SEED");
  if (seconds != nullptr && inputs > 0)
    RunRandom(std::atof(seconds),
              seed != nullptr ? std::strtoull(seed, nullptr, 10) : std::random_device()());
  return inputs > 0 ? 0 : 1;
}
