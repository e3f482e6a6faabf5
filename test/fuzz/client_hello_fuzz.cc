// The ClientHello's parser: it never reads beyond its bytes, more bytes never change what was
// decided, and a name that it gives is one.
#include <algorithm>
#include <string>

#include "source/net/client_hello.h"
#include "test/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::ClientHello;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const ClientHello hello = sluice::ParseClientHello(bytes);
  if (hello.state == ClientHello::State::kNeedMore) {
    FUZZ_CHECK(hello.server_name.empty());
    return 0;
  }
  const ClientHello again = sluice::ParseClientHello(bytes + "x");
  FUZZ_CHECK(again.state == hello.state && again.server_name == hello.server_name);
  FUZZ_CHECK(hello.server_name.size() <= 255);
  FUZZ_CHECK(std::all_of(hello.server_name.begin(), hello.server_name.end(),
                         [](char c) { return c > ' ' && c < 0x7f; }));
  return 0;
}
