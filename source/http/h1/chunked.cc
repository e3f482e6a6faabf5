// A byte-wise reading of size lines, and whole spans of data. Worker thread only.
#include "source/http/h1/chunked.h"

#include <algorithm>

#include "source/base/strings.h"
#include "source/http/bytes.h"
#include "source/http/framing.h"

namespace sluice {
namespace {

constexpr std::string_view kBadChunk = "http1.invalid_chunk_size";
constexpr std::string_view kBadExtension = "http1.invalid_chunk_extension";
constexpr std::string_view kBadEnd = "http1.invalid_chunk_end";
constexpr std::string_view kBadTrailer = "http1.invalid_trailer";
constexpr std::string_view kTooLarge = "http1.trailers_too_large";
constexpr std::string_view kTooMany = "http1.too_many_trailers";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::Fail(size_t consumed, std::string_view details) {
  state_ = State::kFailed;
  return {Step::kError, consumed, {}, details};
}

ChunkedDecoder::Step ChunkedDecoder::Next(std::string_view bytes, Headers* trailers) {
  size_t at = 0;
  while (true) {
    if (state_ == State::kTrailer) return Trailers(bytes, at, trailers);
    if (state_ == State::kDone) return {Step::kEnd, 0, {}, {}};
    if (state_ == State::kFailed) return {Step::kError, 0, {}, kBadChunk};
    if (at == bytes.size()) return {Step::kNeedMore, at, {}, {}};
    switch (state_) {
      case State::kData: {
        const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - at));
        left_ -= count;
        if (left_ == 0) state_ = State::kDataCr;
        return {Step::kData, at + count, bytes.substr(at, count), {}};
      }
      case State::kDataCr:
        if (bytes[at] != '\r') return Fail(at, kBadEnd);
        ++at;
        state_ = State::kDataLf;
        break;
      case State::kDataLf:
        if (bytes[at] != '\n') return Fail(at, kBadEnd);
        ++at;
        state_ = State::kSize;
        break;
      default:
        if (const std::string_view error = SizeLine(bytes, &at); !error.empty())
          return Fail(at, error);
    }
  }
}

// Reads as much of a size line as there is; empty when it is sound so far.
std::string_view ChunkedDecoder::SizeLine(std::string_view bytes, size_t* at) {
  for (; *at < bytes.size(); ++*at) {
    const char c = bytes[*at];
    if (++line_size_ > limits_.max_size_line) return kBadExtension;
    if (state_ == State::kSizeEnd) {
      if (c != '\n') return kBadChunk;
      ++*at;
      state_ = left_ == 0 ? State::kTrailer : State::kData;
      line_size_ = 0;
      digits_ = 0;
      return {};
    }
    if (state_ == State::kSize) {
      if (const std::string_view error = SizeDigit(c); !error.empty()) return error;
    } else if (const std::string_view error = ExtensionByte(c); !error.empty()) {
      return error;
    }
  }
  return {};
}

std::string_view ChunkedDecoder::SizeDigit(char c) {
  if (digits_ > 0 && c == '\r') {
    state_ = State::kSizeEnd;
    return {};
  }
  if (digits_ > 0 && c == ';') {
    state_ = State::kExtension;
    extension_ = Extension::kStart;
    return {};
  }
  const int digit = HexDigit(c);
  // 16 digits, and of those only what a signed length holds.
  if (digit < 0 || ++digits_ > 16 || left_ >> 59 != 0) return kBadChunk;
  left_ = left_ << 4 | static_cast<uint64_t>(digit);
  return {};
}

std::string_view ChunkedDecoder::ExtensionByte(char c) {
  if (++extensions_size_ > limits_.max_extensions) return kBadExtension;
  const bool is_token = IsTokenByte(c);
  switch (extension_) {
    case Extension::kStart:  // behind ';'
      if (!is_token) return kBadExtension;
      extension_ = Extension::kName;
      return {};
    case Extension::kValueStart:  // behind '='
      if (!is_token && c != '"') return kBadExtension;
      extension_ = c == '"' ? Extension::kQuoted : Extension::kToken;
      return {};
    case Extension::kQuoted:
      if (ControlBytes::Is(c)) return kBadExtension;
      if (c == '\\') extension_ = Extension::kEscape;
      if (c == '"') extension_ = Extension::kQuotedEnd;
      return {};
    case Extension::kEscape:
      if (ControlBytes::Is(c)) return kBadExtension;
      extension_ = Extension::kQuoted;
      return {};
    case Extension::kName:
    case Extension::kToken:
    case Extension::kQuotedEnd:
      break;
  }
  // The name or value may go on, or end here.
  if (is_token && extension_ != Extension::kQuotedEnd) return {};
  if (c == '=' && extension_ == Extension::kName) {
    extension_ = Extension::kValueStart;
  } else if (c == ';') {
    extension_ = Extension::kStart;
  } else if (c == '\r') {
    state_ = State::kSizeEnd;
  } else {
    return kBadExtension;
  }
  return {};
}

ChunkedDecoder::Step ChunkedDecoder::Trailers(std::string_view bytes, size_t at,
                                              Headers* trailers) {
  while (true) {
    const char* const line = bytes.data() + at;
    const char* const end = bytes.data() + bytes.size();
    // Never look further than the limit, so that the answer does not depend on how the bytes
    // arrive.
    const size_t allowed = limits_.max_trailer_bytes - trailer_bytes_;
    const char* const last = line + std::min(static_cast<size_t>(end - line), allowed);
    const char* const control = FindFirst<ControlBytes>(line + trailer_scanned_, last);
    trailer_scanned_ = static_cast<size_t>(control - line);
    if (control == last || control + 1 == last) {
      if (static_cast<size_t>(last - line) == allowed) return Fail(at, kTooLarge);
      if (control == last) return {Step::kNeedMore, at, {}, {}};
    }
    if (*control != '\r') return Fail(at, kBadTrailer);
    if (control + 1 == end) return {Step::kNeedMore, at, {}, {}};
    if (control[1] != '\n') return Fail(at, kBadTrailer);
    const size_t size = trailer_scanned_;
    trailer_scanned_ = 0;
    trailer_bytes_ += size + 2;
    at += size + 2;
    if (size == 0) {
      state_ = State::kDone;
      return {Step::kEnd, at, {}, {}};
    }
    if (const std::string_view error = TrailerLine({line, size}, trailers); !error.empty())
      return Fail(at, error);
  }
}

std::string_view ChunkedDecoder::TrailerLine(std::string_view line, Headers* trailers) {
  if (++trailer_count_ > limits_.max_trailers) return kTooMany;
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) return kBadTrailer;
  if (trailers == nullptr) return {};
  const std::string_view name = line.substr(0, colon);
  const std::string lower = ToLower(name);
  if (!ForbiddenInTrailers(FindHeaderId(lower), lower))
    trailers->AddCopy(lower, Trim(line.substr(colon + 1)));
  return {};
}

}  // namespace sluice
