// FramePool: memory for coroutine frames from per-thread free lists by size. Asio's own recycling
// keeps no frame of more than 1,020 bytes and hands out the first block that fits; a request
// suspends in two dozen frames, so this is its largest single cost. A frame may be freed on another
// thread than the one that made it.
#pragma once

#include <cstddef>

namespace sluice {

class FramePool {
 public:
  static void* Take(size_t size);
  static void Put(void* memory, size_t size);
};

}  // namespace sluice
