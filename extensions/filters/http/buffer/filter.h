// Buffer (envoy.filters.http.buffer): lets a request go on once its whole body is there. Immutable,
// shared by all workers.
#pragma once

#include <cstddef>

#include "api/envoy/extensions/filters/http/buffer/v3/buffer.pb.h"
#include "source/extension/registry.h"
#include "source/http/filter.h"

namespace sluice {

/// Of the filter or of a route.
struct BufferLimit {
  size_t max_bytes = 0;  // 0: bodies are not held
};

class BufferFilter final : public Filter {
 public:
  explicit BufferFilter(BufferLimit own) : own_(own) {}

  Task<Response> Handle(Request request, Exchange& exchange, Next next) const override;

 private:
  static Task<Response> Hold(size_t max_bytes, Request request, Exchange& exchange, Next next);

  const BufferLimit own_;
};

/// Makes the filter known.
void RegisterBuffer(Registry& registry);

}  // namespace sluice
