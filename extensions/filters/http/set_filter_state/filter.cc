// Values for the filter state. Worker threads; what is built from the configuration, main thread.
#include "extensions/filters/http/set_filter_state/filter.h"

#include "api/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.pb.h"
#include "source/observe/format/formatter_config.h"

namespace sluice {
namespace {

class Text final : public FilterStateObject {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}
  std::string ToString() const override { return text_; }

 private:
  const std::string text_;
};

}  // namespace

Task<Response> SetFilterState::Handle(Request request, Exchange& exchange, Next next) const {
  for (const Value& value : values_) {
    std::string text;
    value.format.Format(LogContext{exchange}, &text);
    if (text.empty() && value.skip_if_empty) continue;
    exchange.set_filter_state(value.name, std::make_shared<Text>(std::move(text)));
  }
  return next(std::move(request));
}

namespace {

using Proto = envoy::extensions::filters::http::set_filter_state::v3::Config;

absl::StatusOr<FilterPtr> Create(const Proto& config, FactoryContext& context) {
  std::vector<SetFilterState::Value> values;
  for (int i = 0; i < config.on_request_headers_size(); ++i) {
    const auto& value = config.on_request_headers(i);
    const std::string path = Cat(context.path, ".on_request_headers[", i, "].format_string");
    values.push_back({value.object_key(),
                      BuildFormatter(value.format_string(), path, context.server.diagnostics,
                                     {.escaping = Formatter::Escaping::kNone}),
                      value.skip_if_empty()});
  }
  return std::make_unique<SetFilterState>(std::move(values));
}

}  // namespace

void RegisterSetFilterState(Registry& registry) {
  registry.AddHttpFilter<Proto>("envoy.filters.http.set_filter_state",
                                Posture::kRobustToUntrustedDownstream, Create);
}

}  // namespace sluice
