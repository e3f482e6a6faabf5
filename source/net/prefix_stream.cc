// Reading the prefix first. Belongs to one worker.
#include "source/net/prefix_stream.h"

#include <algorithm>
#include <cstring>

namespace sluice {

std::optional<size_t> PrefixStream::TakePrefix(absl::Span<char> buffer) {
  const size_t count = std::min(buffer.size(), prefix_.size() - taken_);
  if (count == 0) return std::nullopt;
  std::memcpy(buffer.data(), prefix_.data() + taken_, count);
  taken_ += count;
  if (taken_ == prefix_.size()) {
    prefix_ = std::string();  // Gives the memory back: a connection may live for long.
    taken_ = 0;
  }
  return count;
}

Task<absl::StatusOr<size_t>> PrefixStream::ReadSome(absl::Span<char> buffer) {
  if (const auto taken = TakePrefix(buffer)) co_return *taken;
  co_return co_await stream_->ReadSome(buffer);
}

absl::StatusOr<std::optional<size_t>> PrefixStream::TryRead(absl::Span<char> buffer) {
  if (const auto taken = TakePrefix(buffer)) return taken;
  return stream_->TryRead(buffer);
}

Waiting PrefixStream::WaitReadable() {
  return taken_ < prefix_.size() ? Waiting(true) : stream_->WaitReadable();
}

}  // namespace sluice
