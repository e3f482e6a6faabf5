// The ends of a list: nothing in it, or too much. Each thread touches its own.
#include "source/base/free_lists.h"

#include <utility>

namespace sluice {

// Opens the lists of its thread, and empties them when the thread ends; what is given back after
// that is freed.
struct FreeLists::Emptier {
  Emptier() { kept_ = kKept; }
  ~Emptier() {
    kept_ = 0;
    for (List& list : lists_) {
      while (list.first != nullptr) std::free(std::exchange(list.first, list.first->next));
      list.bytes = 0;
    }
  }
};

void* FreeLists::New(size_t size) {
  const size_t index = IndexOf(size);
  void* memory = std::malloc(index < kLists ? SizeOf(index) : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void FreeLists::PutElsewhere(void* memory, size_t index) {
  thread_local bool opened = false;
  if (index >= kLists || opened) return std::free(memory);
  opened = true;
  thread_local const Emptier emptier;
  Put(memory, SizeOf(index));
}

}  // namespace sluice
