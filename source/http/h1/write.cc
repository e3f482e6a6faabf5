// One system call in the common case. Worker thread only.
#include "source/http/h1/write.h"

#include "source/base/buffer.h"

namespace sluice {

Task<absl::Status> WriteRest(Stream& stream, std::string_view scratch, std::string_view data,
                             std::string_view tail, size_t gone) {
  std::string_view parts[] = {scratch, data, tail};
  for (std::string_view& part : parts) {
    const size_t count = std::min(gone, part.size());
    part.remove_prefix(count);
    gone -= count;
  }
  const Chunk copy = Chunk::Copy(parts[0]);
  parts[0] = copy.data;
  co_return co_await stream.Write(parts);
}

}  // namespace sluice
