// One immutable object for a configuration; what belongs to one request are the local variables of
// Handle and the body it returns.
#include "shout/filter.h"

#include "shout/v1/shout.pb.h"

namespace shout {
namespace {

// A body that is read through: pulled chunk by chunk, never held as a whole.
class LoudBody final : public sluice::Body {
 public:
  LoudBody(std::string prefix, sluice::BodyPtr body)
      : prefix_(std::move(prefix)), body_(std::move(body)) {}

  sluice::Task<absl::StatusOr<sluice::Chunk>> Read() override {
    if (!prefix_.empty()) co_return sluice::Chunk::Copy(std::exchange(prefix_, {}));
    auto chunk = co_await body_->Read();
    if (!chunk.ok() || chunk->empty()) co_return chunk;
    std::string text(chunk->data);
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    co_return sluice::Chunk::Copy(text);
  }

 private:
  std::string prefix_;
  sluice::BodyPtr body_;
};

struct ShoutFilter final : sluice::Filter {
  explicit ShoutFilter(std::string prefix) : prefix(std::move(prefix)) {}
  sluice::Task<sluice::Response> Handle(sluice::Request request, sluice::Exchange&,
                                        sluice::Next next) const override {
    sluice::Response response = co_await next(std::move(request));
    if (response.body != nullptr)
      response.body = std::make_unique<LoudBody>(prefix, std::move(response.body));
    response.head->headers.Remove(
        "content-length");  // The length is not known any more: the body goes out chunked.
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
