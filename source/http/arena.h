// Arena: string memory that lives as long as a message head. A first block lies inside; more come
// from the buffer pool when needed. Belongs to one worker.
#pragma once

#include <cstring>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "source/base/buffer.h"

namespace sluice {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `size` bytes, not initialised, that stay valid until the arena dies.
  char* Allocate(size_t size) {
    if (size > left_) Grow(size);
    char* memory = next_;
    next_ += size;
    left_ -= size;
    return memory;
  }
  std::string_view Copy(std::string_view text) {
    if (text.empty()) return {};
    char* memory = Allocate(text.size());
    std::memcpy(memory, text.data(), text.size());
    return {memory, text.size()};
  }
  /// Keeps a buffer alive that views of this head point into.
  void Keep(BufferRef buffer) { blocks_.push_back(std::move(buffer)); }

 private:
  static constexpr size_t kInside = 768;

  void Grow(size_t size) {
    blocks_.push_back(BufferRef::Take(size));
    next_ = blocks_.back().data();
    left_ = blocks_.back().size();
  }

  char inside_[kInside];
  char* next_ = inside_;
  size_t left_ = kInside;
  absl::InlinedVector<BufferRef, 2> blocks_;
};

}  // namespace sluice
