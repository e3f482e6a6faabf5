// One system call in the common case. Worker thread only.
#include "source/http/h1/write.h"

#include "source/base/buffer.h"

namespace sluice {

Task<absl::Status> WriteScratch(Stream& stream, std::string_view scratch, std::string_view data, std::string_view tail) {
  std::string_view parts[] = {scratch, data, tail};
  auto sent = stream.TryWrite(parts);
  if (!sent.ok()) co_return sent.status();
  if (*sent == scratch.size() + data.size() + tail.size()) co_return absl::OkStatus();
  for (std::string_view& part : parts) {
    const size_t gone = std::min(*sent, part.size());
    part.remove_prefix(gone);
    *sent -= gone;
  }
  const Chunk copy = Chunk::Copy(parts[0]);
  parts[0] = copy.data;
  co_return co_await stream.Write(parts);
}

}  // namespace sluice
