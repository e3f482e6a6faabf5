// Pooled: memory for objects that come and go with every request, from a per-thread list, so that
// the steady state allocates nothing. An object may be freed on any thread; its memory then joins
// that thread's list.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include "source/base/pooling.h"

namespace sluice {

/// Derive as `struct Thing : Pooled<Thing>`; Thing must be final, so that all its objects have one
/// size.
template <class T>
class Pooled {
 public:
  static void* operator new(size_t size) {
    FreeList& list = List();
    if (list.head != nullptr) {
      --list.count;
      return std::exchange(list.head, list.head->next);
    }
    void* memory = std::malloc(size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }

  static void operator delete(void* memory) {
    FreeList& list = List();
    if (list.count >= kKept) return std::free(memory);
    ++list.count;
    list.head = new (memory) Block{list.head};
  }

 private:
  static constexpr size_t kKept =
      kPooling ? 512 : 0;  // What a burst took beyond it goes back to the system.

  struct Block {
    Block* next;
  };
  struct FreeList {
    ~FreeList() {
      while (head != nullptr) std::free(std::exchange(head, head->next));
      count = kKept;  // Objects that die after the list are freed.
    }
    Block* head = nullptr;
    size_t count = 0;
  };
  static FreeList& List() {
    thread_local FreeList list;
    return list;
  }
};

}  // namespace sluice
