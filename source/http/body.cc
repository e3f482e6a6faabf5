// Bodies that lie in memory. Worker thread only.
#include "source/http/body.h"

#include "source/base/free_lists.h"
#include "source/base/reason.h"

namespace sluice {
namespace {

class MemoryBody final : public Body, public Pooled<MemoryBody> {
 public:
  explicit MemoryBody(std::string text) : text_(std::move(text)), rest_(text_) {}
  explicit MemoryBody(std::string_view text) : rest_(text) {}

  Task<absl::StatusOr<Chunk>> Read() override {
    co_return Chunk{BufferRef(), std::exchange(rest_, {})};
  }
  bool Ready() const override { return true; }
  std::optional<uint64_t> Length() const override { return rest_.size(); }

 private:
  const std::string text_;
  std::string_view rest_;
};

}  // namespace

BodyPtr TextBody(std::string text) {
  return std::make_unique<MemoryBody>(std::move(text));
}

BodyPtr StaticBody(std::string_view text) {
  return std::make_unique<MemoryBody>(text);
}

Task<absl::StatusOr<std::string>> ReadAll(Body* body, size_t limit) {
  std::string all;
  while (body != nullptr) {
    auto chunk = co_await body->Read();
    if (!chunk.ok()) co_return chunk.status();
    if (chunk->empty()) break;
    if (all.size() + chunk->data.size() > limit) co_return MakeError(Reason::kRequestTooLarge);
    all.append(chunk->data);
  }
  co_return all;
}

}  // namespace sluice
