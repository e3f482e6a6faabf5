// ReadBuffer: bytes that were read from a stream and not consumed yet, in a pooled buffer that
// heads and chunks may share. Belongs to one worker.
#pragma once

#include <algorithm>
#include <cstring>

#include "absl/types/span.h"
#include "source/base/buffer.h"

namespace sluice {

class ReadBuffer {
 public:
  absl::Span<char> unread() const {
    return {buffer_ ? buffer_.data() + begin_ : nullptr, end_ - begin_};
  }
  std::string_view view() const {
    return {buffer_ ? buffer_.data() + begin_ : nullptr, end_ - begin_};
  }
  bool empty() const { return begin_ == end_; }
  const BufferRef& buffer() const { return buffer_; }
  void Consume(size_t count) { begin_ += count; }

  /// Room behind the unread bytes, at least `least` of it. What is unread may move, so views into
  /// it must be gone, unless the buffer is shared: then it is copied into a new one and the old
  /// views stay valid.
  absl::Span<char> Room(size_t least = 1) {
    const size_t unread_size = end_ - begin_;
    if (!buffer_ || (!empty() && buffer_.size() - end_ < least) || (empty() && !buffer_.unique()) ||
        (empty() && buffer_.size() < least)) {
      BufferRef next =
          BufferRef::Take(std::max(unread_size + std::max(least, unread_size), BufferRef::kSmall));
      if (unread_size > 0) std::memcpy(next.data(), buffer_.data() + begin_, unread_size);
      buffer_ = std::move(next);
      begin_ = 0;
      end_ = unread_size;
    } else if (empty()) {
      begin_ = end_ = 0;
    }
    return {buffer_.data() + end_, buffer_.size() - end_};
  }
  void Added(size_t count) { end_ += count; }

  /// Gives the memory back; for an idle connection. Nothing may be unread.
  void Release() {
    buffer_.reset();
    begin_ = end_ = 0;
  }

 private:
  BufferRef buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace sluice
