// The PROXY protocol's parser: it never reads beyond its bytes, more bytes never change what was
// decided, and what it understands can be written and read again.
#include "source/net/proxy_protocol.h"
#include "test/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::ProxyHeader;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyHeader header = sluice::ParseProxyHeader(bytes);
  if (header.state == ProxyHeader::State::kNeedMore) {
    FUZZ_CHECK(size < sluice::kMaxProxyHeader);
    return 0;
  }
  const std::string longer = std::string(bytes) + "x";
  FUZZ_CHECK(sluice::ParseProxyHeader(longer).state == header.state);
  if (header.state != ProxyHeader::State::kDone) return 0;
  FUZZ_CHECK(header.size <= size);
  if (header.local) return 0;
  for (const int version : {1, 2}) {
    const ProxyHeader again = sluice::ParseProxyHeader(
        sluice::WriteProxyHeader(version, header.source, header.destination));
    FUZZ_CHECK(again.state == ProxyHeader::State::kDone);
    FUZZ_CHECK(again.source == header.source && again.destination == header.destination);
  }
  return 0;
}
