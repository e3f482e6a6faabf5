// Free lists in steps of 64 bytes. Each thread touches its own.
#include "source/async/frame_pool.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "source/base/pooling.h"

namespace sluice {
namespace {

constexpr size_t kStep = 64;
constexpr size_t kClasses = 64;  // Frames of up to 4 KiB.
constexpr size_t kKept =
    kPooling ? 256 : 0;  // Per class; what a burst took beyond it goes back to the system.

struct Block {
  Block* next;
};

struct Lists {
  ~Lists() {
    for (size_t i = 0; i < kClasses; ++i) {
      while (heads[i] != nullptr) std::free(std::exchange(heads[i], heads[i]->next));
      counts[i] = kKept;  // Frames that die after the lists are freed.
    }
  }
  Block* heads[kClasses] = {};
  size_t counts[kClasses] = {};
};

thread_local Lists lists;

size_t ClassOf(size_t size) {
  return (size - 1) / kStep;
}

}  // namespace

void* FramePool::Take(size_t size) {
  const size_t index = ClassOf(size);
  if (index < kClasses && lists.heads[index] != nullptr) {
    --lists.counts[index];
    return std::exchange(lists.heads[index], lists.heads[index]->next);
  }
  void* memory = std::malloc(index < kClasses ? (index + 1) * kStep : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void FramePool::Put(void* memory, size_t size) {
  const size_t index = ClassOf(size);
  if (index >= kClasses || lists.counts[index] >= kKept) return std::free(memory);
  ++lists.counts[index];
  lists.heads[index] = new (memory) Block{lists.heads[index]};
}

}  // namespace sluice
