// Format strings: each is refused with a reason, or writes of a hostile exchange nothing that could
// end a line or a field early. One thread.
#include <string>

#include "source/http/testing/exchange.h"
#include "source/observe/format/formatter.h"
#include "test/fuzz/check.h"

namespace {

// An exchange whose every fact is known, and whose request is of the worst sort.
const sluice::testing::TestExchange& Hostile() {
  static const auto& exchange = *[] {
    auto* const made = new sluice::testing::TestExchange;
    made->Fill();
    made->request_head()->headers.AddCopy("x-evil", "a\"b\\c\xff\x01\n");
    return made;
  }();
  return exchange;
}

bool IsClean(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::Formatter;
  const std::string_view format(reinterpret_cast<const char*>(data), size);
  const auto formatter = Formatter::FromText(format);
  if (!formatter.ok()) {
    FUZZ_CHECK(!formatter.status().message().empty());
    return 0;
  }
  std::string line, again;
  formatter->Format({Hostile()}, &line);
  FUZZ_CHECK(!IsClean(format) || IsClean(line));
  Formatter::Options options;
  options.escaping = Formatter::Escaping::kHeaderValue;
  options.omit_empty_values = true;
  const auto other = Formatter::FromText(format, options);
  FUZZ_CHECK(other.ok());
  other->Format({Hostile()}, &again);
  FUZZ_CHECK(!IsClean(format) || IsClean(again));
  return 0;
}
