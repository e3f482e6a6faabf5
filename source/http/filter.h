// Filter: the one interface of the HTTP filter chain. Filters are immutable and shared by all
// workers; what belongs to one request are the local variables of Handle.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/http/exchange.h"
#include "source/http/message.h"

namespace sluice {

class Next;

class Filter {
 public:
  virtual ~Filter() = default;

  /// Answers the request, usually by handing it on: `auto response = co_await
  /// next(std::move(request));` then perhaps changing what comes back. Never fails: a failure is a
  /// Response (see reply.h). A filter that only touches the request is no coroutine: it ends with
  /// `return next(std::move(request));`. `exchange` and `next` outlive the call.
  virtual Task<Response> Handle(Request request, Exchange& exchange, Next next) const = 0;
};

/// One place of a chain.
struct ChainEntry {
  std::string name;  // as configured: the key of typed_per_filter_config
  std::unique_ptr<const Filter> filter;
  bool disabled = false;  // until a route enables it
};

/// The filters of one HTTP connection manager, in order; the last one is terminal (the router).
struct FilterChain {
  std::vector<ChainEntry> entries;  // at most 64: a route keeps one bit for each
};

/// The rest of the chain: call it 0, 1 or N times. A small value.
class Next {
 public:
  Next(const FilterChain& chain, Exchange& exchange, size_t position)
      : chain_(&chain), exchange_(&exchange), position_(position) {}

  Task<Response> operator()(Request request) const;

  /// The per-route configuration of the filter that holds this Next, most specific level; null when
  /// there is none.
  template <class Config>
  const Config* RouteConfig() const {
    const auto levels = RouteConfigs();
    return levels.empty() ? nullptr : static_cast<const Config*>(levels.back());
  }
  /// All levels that have one, least specific first: route configuration, virtual host, route,
  /// weighted cluster.
  absl::Span<const void* const> RouteConfigs() const;

 private:
  const FilterChain* chain_;
  Exchange* exchange_;
  size_t position_;  // of the next filter; ours is one less
};

}  // namespace sluice
