// Pooled byte buffers. A buffer belongs to the thread that took it: the pool, the reference count
// and the bytes are touched by that worker only. The pool is last-in first-out, so that a busy
// worker reads and writes through the same warm memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace sluice {

/// A counted reference to a pooled buffer; copying it costs one increment. Empty by default.
class BufferRef {
 public:
  static constexpr size_t kSmall = 16 * 1024;   // a head, a small body
  static constexpr size_t kLarge = 256 * 1024;  // a bulky body or tunnel

  /// A buffer of at least `size` bytes from this thread's pool (kSmall and kLarge are kept, other
  /// sizes are not).
  static BufferRef Take(size_t size);

  BufferRef() = default;
  BufferRef(const BufferRef& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->references;
  }
  BufferRef(BufferRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BufferRef& operator=(BufferRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BufferRef() {
    if (block_ != nullptr && --block_->references == 0) Release(block_);
  }

  char* data() const { return reinterpret_cast<char*>(block_ + 1); }
  size_t size() const { return block_->size; }
  explicit operator bool() const { return block_ != nullptr; }
  /// True when nobody else holds the buffer, so that its bytes may be overwritten.
  bool unique() const { return block_ != nullptr && block_->references == 1; }
  void reset() { *this = BufferRef(); }

 private:
  friend class BufferPool;
  struct alignas(16) Block {
    size_t size;
    uint32_t references;
    Block* next;
  };
  explicit BufferRef(Block* block) : block_(block) {}
  static void Release(Block* block);

  Block* block_ = nullptr;
};

/// Bytes of a body together with the buffer that holds them. `buffer` is empty when the bytes
/// outlive every request.
struct Chunk {
  BufferRef buffer;
  std::string_view data;

  bool empty() const { return data.empty(); }
  /// A chunk that owns a copy of `bytes`.
  static Chunk Copy(std::string_view bytes);
};

}  // namespace sluice
