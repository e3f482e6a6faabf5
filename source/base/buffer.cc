// The per-thread buffer pool. Touched by its own thread only.
#include "source/base/buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "source/base/pooling.h"

namespace sluice {

class BufferPool {
 public:
  using Block = BufferRef::Block;

  ~BufferPool() {
    for (FreeList& list : lists_) {
      while (list.head != nullptr) std::free(std::exchange(list.head, list.head->next));
    }
    closed_ = true;
  }

  Block* Take(size_t size) {
    FreeList* list = ListFor(size);
    if (list != nullptr) size = list->size;
    if (list == nullptr || list->head == nullptr) return Allocate(size);
    --list->count;
    return std::exchange(list->head, list->head->next);
  }

  void Put(Block* block) {
    FreeList* list = closed_ ? nullptr : ListFor(block->size);
    if (list == nullptr || list->size != block->size || list->count >= list->limit || !kPooling)
      return std::free(block);
    block->next = std::exchange(list->head, block);
    ++list->count;
  }

 private:
  struct FreeList {
    size_t size;
    size_t limit;  // Kept at most; what a burst took beyond it goes back to the system.
    Block* head = nullptr;
    size_t count = 0;
  };

  static Block* Allocate(size_t size) {
    void* memory = std::malloc(sizeof(Block) + size);
    if (memory == nullptr) throw std::bad_alloc();
    return new (memory) Block{size, 0, nullptr};
  }

  FreeList* ListFor(size_t size) {
    for (FreeList& list : lists_) {
      if (size <= list.size) return &list;
    }
    return nullptr;
  }

  FreeList lists_[2] = {{BufferRef::kSmall, 256}, {BufferRef::kLarge, 16}};
  bool closed_ = false;
};

namespace {
thread_local BufferPool pool;
}

BufferRef BufferRef::Take(size_t size) {
  Block* block = pool.Take(size);
  block->references = 1;
  return BufferRef(block);
}

void BufferRef::Release(Block* block) {
  pool.Put(block);
}

Chunk Chunk::Copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  Chunk chunk{BufferRef::Take(bytes.size()), {}};
  std::memcpy(chunk.buffer.data(), bytes.data(), bytes.size());
  chunk.data = {chunk.buffer.data(), bytes.size()};
  return chunk;
}

}  // namespace sluice
