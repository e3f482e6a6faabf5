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

  /// Whether the filter changes every response, also that to a request which an earlier filter or
  /// the connection manager answered, so that Handle() never saw it.
  virtual bool edits_every_response() const { return false; }
  /// Changes such a response, on the worker of its exchange. Where the head was bad route() is
  /// null, and request_head() may be. A filter that says so above calls Next::MarkSeen in Handle().
  virtual void EditUnseen(ResponseHead&, Exchange&, const Next&) const {}
};

/// One place of a chain.
struct ChainEntry {
  std::string name;  // as configured: the key of typed_per_filter_config
  std::unique_ptr<const Filter> filter;
  bool disabled = false;  // until a route enables it
};

/// The filters of one HTTP connection manager, in order; the last one is terminal (the router).
struct HttpFilterChain {
  std::vector<ChainEntry> entries;   // at most 64: a route keeps one bit for each
  uint64_t edit_every_response = 0;  // bit i: entry i does

  /// Lets the filters that a request did not reach, and that edit every response, do so, the last
  /// one first.
  void EditUnseen(ResponseHead& response, Exchange& exchange) const;
};

/// The rest of the chain: call it 0, 1 or N times. A small value.
class Next {
 public:
  Next(const HttpFilterChain& chain, Exchange& exchange, size_t position)
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
  /// Notes that the filter that holds this Next has the request, and edits the response itself.
  void MarkSeen() const { exchange_->seen_by |= uint64_t{1} << (position_ - 1); }

 private:
  const HttpFilterChain* chain_;
  Exchange* exchange_;
  size_t position_;  // of the next filter; ours is one less
};

}  // namespace sluice
