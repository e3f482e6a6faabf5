// The walk along the chain. Worker thread only.
#include "source/http/filter.h"

#include "source/http/reply.h"

namespace sluice {
namespace {

Task<Response> NoTerminalFilter() {
  co_return Reply(500);
}

bool IsEnabled(const ChainEntry& entry, size_t position, const RouteBase* route) {
  return route == nullptr ? !entry.disabled : (route->enabled_filters >> position & 1) != 0;
}

}  // namespace

void HttpFilterChain::EditUnseen(ResponseHead& response, Exchange& exchange) const {
  const uint64_t unseen = edit_every_response & ~exchange.seen_by;
  if (unseen == 0) return;
  for (size_t i = entries.size(); i-- > 0;) {
    if ((unseen >> i & 1) != 0 && IsEnabled(entries[i], i, exchange.route()))
      entries[i].filter->EditUnseen(response, exchange, Next(*this, exchange, i + 1));
  }
}

Task<Response> Next::operator()(Request request) const {
  const RouteBase* route = exchange_->route();
  for (size_t i = position_; i < chain_->entries.size(); ++i) {
    const ChainEntry& entry = chain_->entries[i];
    if (IsEnabled(entry, i, route))
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
