// One immutable object for a configuration; what belongs to one request are the local variables of
// Handle and the body it returns.
#include "shout/filter.h"

#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "shout/v1/shout.pb.h"
#include "source/http/body.h"

namespace shout {
namespace {

// A body that is read through: pulled chunk by chunk, never held as a whole. Trailers, and whether
// the next chunk is there already, are the wrapped body's.
class LoudBody final : public sluice::WrappedBody {
 public:
  LoudBody(std::string prefix, sluice::BodyPtr body)
      : WrappedBody(std::move(body)), prefix_(std::move(prefix)) {}

  sluice::Task<absl::StatusOr<sluice::Chunk>> Read() override {
    if (!prefix_.empty()) co_return sluice::Chunk::Copy(std::exchange(prefix_, {}));
    auto chunk = co_await inner().Read();
    if (!chunk.ok() || chunk->empty()) co_return chunk;
    std::string text(chunk->data);
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    co_return sluice::Chunk::Copy(text);
  }

  // The wrapped body's length is not ours: this one goes out chunked.
  std::optional<uint64_t> Length() const override { return std::nullopt; }

 private:
  std::string prefix_;
};

struct ShoutFilter final : sluice::Filter {
  explicit ShoutFilter(std::string prefix) : prefix(std::move(prefix)) {}
  sluice::Task<sluice::Response> Handle(sluice::Request request, sluice::Exchange&,
                                        sluice::Next next) const override {
    sluice::Response response = co_await next(std::move(request));
    if (response.body != nullptr)
      response.body = std::make_unique<LoudBody>(prefix, std::move(response.body));
    response.head->headers.Remove("content-length");
    co_return response;
  }
  const std::string prefix;
};

}  // namespace

void Register(sluice::Registry& registry) {
  registry.AddHttpFilter<v1::Shout>(
      "shout", sluice::Posture::kRobustToUntrustedBoth,
      [](const v1::Shout& config, sluice::FactoryContext&) -> absl::StatusOr<sluice::FilterPtr> {
        return std::make_unique<ShoutFilter>(config.prefix());
      });
}

}  // namespace shout
