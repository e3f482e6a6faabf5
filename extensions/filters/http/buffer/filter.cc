// The buffer filter. Worker threads, but for what is built.
#include "extensions/filters/http/buffer/filter.h"

#include "source/http/reply.h"

namespace sluice {
namespace {

namespace v3 = envoy::extensions::filters::http::buffer::v3;

// A body that was held: its bytes, and the trailers of the one they came from.
class HeldBody final : public Body {
 public:
  HeldBody(std::string text, BodyPtr from)
      : text_(std::move(text)), rest_(text_), from_(std::move(from)) {}

  Task<absl::StatusOr<Chunk>> Read() override {
    co_return Chunk{BufferRef(), std::exchange(rest_, {})};
  }
  bool Ready() const override { return true; }
  // A message with a length has no place for trailers.
  std::optional<uint64_t> Length() const override {
    if (from_->trailers() != nullptr) return std::nullopt;
    return rest_.size();
  }
  Headers* trailers() override { return from_->trailers(); }

 private:
  const std::string text_;
  std::string_view rest_;
  const BodyPtr from_;
};

BufferLimit LimitOf(const v3::Buffer& config, FactoryContext& context, std::string_view field) {
  if (!config.has_max_request_bytes())
    context.Error(Cat(field, "max_request_bytes"), "must be set");
  return {config.max_request_bytes().value()};
}

}  // namespace

Task<Response> BufferFilter::Handle(Request request, Exchange& exchange, Next next) const {
  const BufferLimit* route = next.RouteConfig<BufferLimit>();
  const size_t max_bytes = (route != nullptr ? *route : own_).max_bytes;
  if (max_bytes == 0 || request.body == nullptr) return next(std::move(request));
  const auto length = request.body->Length();
  if (length.has_value() && *length > max_bytes)
    return Answered(ErrorReply(MakeError(Reason::kRequestTooLarge), exchange));
  return Hold(max_bytes, std::move(request), exchange, next);
}

Task<Response> BufferFilter::Hold(size_t max_bytes, Request request, Exchange& exchange,
                                  Next next) {
  auto text = co_await ReadAll(request.body.get(), max_bytes);
  if (!text.ok()) co_return ErrorReply(text.status(), exchange);
  request.body = std::make_unique<HeldBody>(*std::move(text), std::move(request.body));
  co_return co_await next(std::move(request));
}

void RegisterBuffer(Registry& registry) {
  registry.AddHttpFilter<v3::Buffer, v3::BufferPerRoute>(
      "envoy.filters.http.buffer", Posture::kRobustToUntrustedDownstream,
      [](const v3::Buffer& config, FactoryContext& context) -> absl::StatusOr<FilterPtr> {
        return std::make_unique<BufferFilter>(LimitOf(config, context, ""));
      },
      [](const v3::BufferPerRoute& config,
         FactoryContext& context) -> absl::StatusOr<std::shared_ptr<const BufferLimit>> {
        if (config.disabled()) return std::make_shared<const BufferLimit>();
        return std::make_shared<const BufferLimit>(LimitOf(config.buffer(), context, "buffer."));
      });
}

}  // namespace sluice
