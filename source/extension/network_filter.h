// NetworkFilter: what handles a downstream connection: the same shape as an HTTP filter, one level
// below. Immutable and shared; what belongs to one connection are the local variables of Handle.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/async/task.h"
#include "source/http/connection.h"

namespace sluice::stats {
class Scope;
}

namespace sluice {

class NetworkNext;

/// Why a filter ends a connection instead of handing it on.
struct ConnectionRefusal {
  std::string_view local_close_reason;  // %DOWNSTREAM_LOCAL_CLOSE_REASON%; a constant
  std::optional<ResponseFlag> flag{};   // none: the log shows no flag
  std::string termination_details{};    // %CONNECTION_TERMINATION_DETAILS%, or empty

  void NoteOn(Exchange& exchange) const {
    if (flag.has_value()) exchange.Note(*flag);
    if (!termination_details.empty()) exchange.set_termination_details(termination_details);
    exchange.local_close_reason = local_close_reason;
  }
};

class NetworkFilter {
 public:
  virtual ~NetworkFilter() = default;
  /// Handles the connection until it ends, or does its part and goes on with `co_await
  /// next(connection)`. Runs on the connection's worker under connection.canceller: when that is
  /// cancelled (the worker ends, a limit has run out) every await returns at once, and so must
  /// this. The connection is closed when the first filter has returned; to end it earlier, return.
  /// Who can end early when draining begins sets connection.drainable, and null again before it
  /// returns; connection.draining may be true from the start.
  virtual Task<> Handle(Connection& connection, NetworkNext next) const = 0;
  /// Worker thread. A filter in front ends the connection, which will not come here: for those who
  /// count and log connections.
  virtual void OnRefused(Connection& connection, const ConnectionRefusal& why) const {}
  /// Main thread, before the first connection: the listener has its address, and with it the place
  /// of its statistics (listener.<address>), where a filter may have some of its own.
  virtual void OnBound(const stats::Scope& listener) const {}
};

/// The rest of a filter chain.
class NetworkNext {
 public:
  NetworkNext(const std::vector<std::unique_ptr<const NetworkFilter>>& filters, size_t position)
      : filters_(&filters), position_(position) {}
  Task<> operator()(Connection& connection) const {
    if (position_ == filters_->size()) return {};
    return (*filters_)[position_]->Handle(connection, NetworkNext(*filters_, position_ + 1));
  }
  /// Instead of going on: tells the listener's log and the filters behind why, and closes.
  void Refuse(Connection& connection, const ConnectionRefusal& why) const {
    if (connection.facts.record != nullptr) why.NoteOn(*connection.facts.record);
    for (size_t i = position_; i < filters_->size(); ++i)
      (*filters_)[i]->OnRefused(connection, why);
    connection.stream->Close();
  }

 private:
  const std::vector<std::unique_ptr<const NetworkFilter>>* filters_;
  size_t position_;
};

}  // namespace sluice
