// ChunkedDecoder: the chunked transfer coding (RFC 9112 7.1), strict and incremental, without
// copying data. No I/O; belongs to one message.
#pragma once

#include <cstdint>
#include <string_view>

#include "source/http/headers.h"

namespace sluice {

class ChunkedDecoder {
 public:
  struct Limits {
    size_t max_size_line = 4096;        // one line with its extensions
    size_t max_extensions = 16 * 1024;  // of all chunks together
    size_t max_trailer_bytes = 60 * 1024;
    size_t max_trailers = 100;
  };
  struct Step {
    enum State : uint8_t { kNeedMore, kData, kEnd, kError };
    State state = kNeedMore;
    size_t consumed = 0;       // drop that many bytes from the input, whatever the state is
    std::string_view data;     // of kData: never empty, lies inside the consumed bytes
    std::string_view details;  // of kError; a constant
  };

  ChunkedDecoder() = default;
  explicit ChunkedDecoder(const Limits& limits) : limits_(limits) {}

  /// The next piece of the body. After kNeedMore call again with at least one byte more than what
  /// was left. At the end the trailer fields, without those that may not be trailers, have been
  /// copied into `trailers` (which may be null: they are checked and dropped). After kEnd and
  /// kError: no more calls.
  Step Next(std::string_view bytes, Headers* trailers);

  /// True after kEnd: what follows is the next message.
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State : uint8_t {
    kSize,
    kExtension,
    kSizeEnd,
    kData,
    kDataCr,
    kDataLf,
    kTrailer,
    kDone,
    kFailed
  };

  Step Fail(size_t consumed, std::string_view details);
  std::string_view SizeLine(std::string_view bytes, size_t* at);
  std::string_view SizeDigit(char c);
  std::string_view ExtensionByte(char c);
  std::string_view TrailerLine(std::string_view line, Headers* trailers);
  Step Trailers(std::string_view bytes, size_t at, Headers* trailers);

  // What part of a chunk extension comes next: ;name=token or ;name="quoted".
  enum class Extension : uint8_t {
    kStart,
    kName,
    kValueStart,
    kToken,
    kQuoted,
    kEscape,
    kQuotedEnd
  };

  Limits limits_;
  State state_ = State::kSize;
  Extension extension_ = Extension::kStart;
  uint8_t digits_ = 0;
  uint64_t left_ = 0;  // of the chunk
  size_t line_size_ = 0;
  size_t extensions_size_ = 0;
  size_t trailer_scanned_ = 0;  // bytes of an incomplete trailer line that were looked at
  size_t trailer_bytes_ = 0;
  size_t trailer_count_ = 0;
};

}  // namespace sluice
