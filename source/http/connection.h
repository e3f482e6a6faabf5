// Connection: an accepted connection from a client, with what is known of it. Lives on one worker.
#pragma once

#include <memory>

#include "source/async/cancel.h"
#include "source/async/drainable.h"
#include "source/async/scope.h"
#include "source/async/worker.h"
#include "source/base/linked.h"
#include "source/http/exchange.h"
#include "source/net/metered_stream.h"

namespace sluice {

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

}  // namespace sluice
