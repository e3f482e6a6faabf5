// Configuration texts: whatever they are, loading ends with a checked message or with at least one
// error, within the loader's own limits, and the same text gives the same answer twice. One thread.
#include <cstdint>
#include <string>

#include "api/envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "source/config/loader.h"
#include "test/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string answers[2];
  for (std::string& answer : answers) {
    sluice::config::Diagnostics diagnostics;
    envoy::config::bootstrap::v3::Bootstrap bootstrap;
    const bool good = sluice::config::ReadYaml(text, diagnostics, &bootstrap, "fuzz.yaml");
    FUZZ_CHECK(good == diagnostics.ok());
    answer = diagnostics.ToString();
    if (!good) FUZZ_CHECK(!answer.empty());
  }
  FUZZ_CHECK(answers[0] == answers[1]);
  return 0;
}
