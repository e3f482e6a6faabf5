// The walk along the chain. Worker thread only.
#include "source/http/filter.h"

#include "source/http/reply.h"

namespace sluice {
namespace {

Task<Response> NoTerminalFilter() {
  co_return Reply(500);
}

}  // namespace

Task<Response> Next::operator()(Request request) const {
  const RouteBase* route = exchange_->route();
  for (size_t i = position_; i < chain_->entries.size(); ++i) {
    const ChainEntry& entry = chain_->entries[i];
    const bool enabled =
        route == nullptr ? !entry.disabled : (route->enabled_filters >> i & 1) != 0;
    if (enabled)
      return entry.filter->Handle(std::move(request), *exchange_, Next(*chain_, *exchange_, i + 1));
  }
  return NoTerminalFilter();
}

absl::Span<const void* const> Next::RouteConfigs() const {
  const RouteBase* route = exchange_->route();
  const size_t own = position_ - 1;
  if (route == nullptr || own >= route->filter_configs.size()) return {};
  return route->filter_configs[own];
}

}  // namespace sluice
