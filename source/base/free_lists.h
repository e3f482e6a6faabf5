// FreeLists: memory for what comes and goes with every request, coroutine frames above all, from
// per-thread lists by size, so that the steady state allocates nothing. Memory may be given back on
// another thread than the one that took it; it then joins that thread's lists.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#include "source/base/pooling.h"

namespace sluice {

class FreeLists {
 public:
  /// Memory for `size` > 0 bytes. Throws std::bad_alloc.
  static void* Take(size_t size) {
    const size_t index = IndexOf(size);
    if (index >= kLists || lists_[index].first == nullptr) return New(size);
    List& list = lists_[index];
    Block* const block = list.first;
    list.first = block->next;
    list.bytes -= SizeOf(index);
    return block;
  }

  /// Gives back what Take(size) gave.
  static void Put(void* memory, size_t size) {
    const size_t index = IndexOf(size);
    if (index >= kLists || lists_[index].bytes + SizeOf(index) > kept_)
      return PutElsewhere(memory, index);
    List& list = lists_[index];
    list.first = new (memory) Block{list.first};
    list.bytes += SizeOf(index);
  }

 private:
  static constexpr size_t kLists = 256;  // up to 4 KiB
  // Per list; what a burst took beyond it goes back to the system.
  static constexpr size_t kKept = kPooling ? 256 * 1024 : 0;

  struct Block {
    Block* next;
  };
  static_assert(sizeof(Block) <= 8, "the smallest size holds one");
  struct List {
    Block* first;
    size_t bytes;
  };
  struct Emptier;

  // The sizes that malloc has: 8, 24, 40 ..., for it adds 8 bytes of its own to make them even.
  static size_t IndexOf(size_t size) { return (size + 7) / 16; }
  static size_t SizeOf(size_t index) { return index * 16 + 8; }
  static void* New(size_t size);
  static void PutElsewhere(void* memory, size_t index);

  // Without constructor and destructor: what every request touches needs no check for a first use.
  static inline constinit thread_local List lists_[kLists] = {};
  static inline constinit thread_local size_t kept_ = 0;  // kKept while the lists are in use
};

/// Derive as `struct Thing : Pooled<Thing>`; Thing must be final, so that all its objects have one
/// size.
template <class T>
class Pooled {
 public:
  static void* operator new(size_t size) { return FreeLists::Take(size); }
  static void operator delete(void* memory) { FreeLists::Put(memory, sizeof(T)); }
};

}  // namespace sluice
