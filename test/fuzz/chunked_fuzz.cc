// Chunked bodies: however the bytes arrive they mean the same, and a body that is encoded anew
// decodes to the same. The first byte of an input chooses limits and cuts. One thread.
#include <cstdint>

#include "source/http/h1/head_writer.h"
#include "source/http/h1/testing/split_input.h"
#include "test/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const uint8_t choice = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  ChunkedDecoder::Limits limits;
  if ((choice & 1) != 0) limits = {16, 24, 32, 2};

  const Decoded whole = Decode(input, limits, {input.size()});
  FUZZ_CHECK(whole.consumed <= input.size());
  if (input.size() <= 4096) FUZZ_CHECK(Decode(input, limits, Cuts(input.size(), 1, 0)) == whole);
  FUZZ_CHECK(Decode(input, limits, Cuts(input.size(), 0, choice)) == whole);
  if (whole.state != ChunkedDecoder::Step::kEnd) return 0;

  ChunkedDecoder decoder(limits);
  Arena arena;
  Headers trailers(arena);
  std::string again;
  ChunkedDecoder::Step step;
  for (size_t at = 0; !decoder.done(); at += step.consumed) {
    step = decoder.Next(input.substr(at), &trailers);
    if (step.state != ChunkedDecoder::Step::kData) continue;
    WriteChunkHeader(step.data.size(), &again);
    again.append(step.data).append("\r\n");
  }
  FUZZ_CHECK(WriteLastChunk(&trailers, &again) == 0);
  const Decoded second = Decode(again, {}, {again.size()});
  FUZZ_CHECK(second.state == ChunkedDecoder::Step::kEnd);
  FUZZ_CHECK(second.consumed == again.size());
  FUZZ_CHECK(second.data == whole.data);
  FUZZ_CHECK(second.trailers == whole.trailers);
  return 0;
}
