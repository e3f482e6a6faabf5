// NetworkFilter: what handles a downstream connection: the same shape as an HTTP filter, one level
// below. Immutable and shared; what belongs to one connection are the local variables of Handle.
#pragma once

#include <memory>
#include <vector>

#include "source/async/cancel.h"
#include "source/async/drainable.h"
#include "source/async/scope.h"
#include "source/async/worker.h"
#include "source/http/exchange.h"
#include "source/net/metered_stream.h"

namespace sluice::stats {
class Scope;
}

namespace sluice {

class NetworkNext;

/// What the access log of a listener says about a connection as a whole. Filters add what they
/// know; addresses and bytes are the listener's. Belongs to the connection and its worker.
class ConnectionRecord final : public Exchange {
 public:
  using Exchange::Exchange;

  Task<absl::Status> SendInterim(ResponseHeadPtr) override { return absl::OkStatus(); }
  void LimitIdle(Duration) override {}  // The limits are those of the filters.
  void LimitDuration(Duration) override {}
  void Touch() override {}

  StreamMeter meter;
};

/// The facts of a connection, and what its listener's log will say of it.
struct ConnectionOrigin : ConnectionFacts {
  std::unique_ptr<ConnectionRecord> record;  // null: its listener has no access log
};

/// An accepted connection. Lives on one worker from accept to close.
struct Connection : Linked<Connection> {  // of the open ones of its listener and worker
  Connection(Worker& worker, StreamPtr stream) : worker(worker), stream(std::move(stream)) {}

  Worker& worker;
  StreamPtr stream;
  ConnectionOrigin facts;
  Canceller canceller;  // of the connection's own coroutine
  Scope scope;          // for what runs beside it; joined before the connection dies
  size_t buffer_limit = 1024 * 1024;
  /// True once the server or this listener drains: finish what runs, take nothing new.
  bool draining = false;
  /// Told when draining begins; a filter that can end early sets it. Null: nobody.
  Drainable* drainable = nullptr;
};

class NetworkFilter {
 public:
  virtual ~NetworkFilter() = default;
  /// Handles the connection until it ends, or does its part and goes on with `co_await
  /// next(connection)`.
  virtual Task<> Handle(Connection& connection, NetworkNext next) const = 0;
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

 private:
  const std::vector<std::unique_ptr<const NetworkFilter>>* filters_;
  size_t position_;
};

}  // namespace sluice
