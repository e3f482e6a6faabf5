// One run of a case: the real proxy, built from the case's configuration as the server builds it,
// between a scripted client and scripted upstreams. Called on the test's thread; the proxy's
// threads live for one run.
#pragma once

#include <string>
#include <vector>

#include "source/net/testing/memory_stream.h"

namespace sluice::cases {

enum class Transport : uint8_t { kMemory, kTcp };

struct RunOptions {
  Transport transport = Transport::kMemory;
  Chunking chunking = Chunking::kAll;
  uint64_t seed = 1;      // of random chunks
  std::string directory;  // for the access log
};

/// Plays the case whose file holds `text`; what went wrong, a line each. Ends within half a minute,
/// whatever happens.
std::vector<std::string> RunCase(const std::string& text, const RunOptions& options);

}  // namespace sluice::cases
