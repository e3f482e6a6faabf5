// Listening sockets and their connections. See listener.h for the threads.
#include "source/server/listeners/listener.h"

#include <unistd.h>

#include <list>

#include "source/base/log.h"
#include "source/base/reason.h"
#include "source/net/connection_id.h"

namespace sluice {
namespace {

// How long a worker does not accept after the system refused it a descriptor, or while the process
// is overloaded: long enough not to spin, short enough not to be felt.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

}  // namespace

Listener::Stats::Stats(const stats::Scope& scope)
    : cx_total(scope.counter("downstream_cx_total")),
      cx_destroy(scope.counter("downstream_cx_destroy")),
      global_cx_overflow(scope.counter("downstream_global_cx_overflow")),
      overload_reject(scope.counter("downstream_cx_overload_reject")),
      accept_failures(scope.counter("downstream_cx_accept_failures")),
      no_filter_chain_match(scope.counter("no_filter_chain_match")),
      pre_cx_timeout(scope.counter("downstream_pre_cx_timeout")),
      listener_filter_error(scope.counter("downstream_listener_filter_error")),
      cx_overflow(scope.counter("downstream_cx_overflow")),
      listener_filter_remote_close(scope.counter("downstream_listener_filter_remote_close")),
      cx_active(scope.gauge("downstream_cx_active")),
      pre_cx_active(scope.gauge("downstream_pre_cx_active")),
      cx_length_ms(scope.histogram("downstream_cx_length_ms")),
      accepted_per_event(scope.histogram("connections_accepted_per_socket_event")) {
  // They stand at zero: there are no handshakes and no configuration that comes later.
  for (const std::string_view name :
       {"downstream_cx_transport_socket_connect_timeout", "extension_config_missing",
        "network_extension_config_missing"})
    scope.counter(name);
}

struct Listener::PerWorker {
  Worker* worker = nullptr;
  std::list<ListenSocket> sockets;
  Connection* connections = nullptr;  // the newest first
  bool stopped = false;
  bool draining = false;

  void DrainConnections() {
    draining = true;
    for (Connection* connection = connections; connection != nullptr;
         connection = connection->next()) {
      connection->draining = true;
      if (connection->drainable != nullptr) connection->drainable->Drain();
    }
  }
};

Listener::Listener(ListenerSettings settings, envoy::config::listener::v3::Listener config,
                   std::vector<std::unique_ptr<const ListenerFilter>> listener_filters,
                   FilterChainTable chains, stats::Store& stats, ConnectionBudget& budget)
    : settings_(std::move(settings)),
      config_(std::move(config)),
      no_chain_{"", nullptr,
                std::make_shared<const envoy::config::core::v3::Metadata>(config_.metadata())},
      listener_filters_(std::move(listener_filters)),
      chains_(std::move(chains)),
      store_(stats),
      budget_(budget) {}

Listener::~Listener() {
  for (const auto& row : sockets_) {
    for (int fd : row) ::close(fd);
  }
  for (const Address& address : settings_.addresses) {
    if (address.family() == AF_UNIX && !address.ToString().starts_with('@'))
      ::unlink(address.ToString().c_str());
  }
}

absl::Status Listener::Bind(size_t workers) {
  sockets_.resize(workers);
  for (Address& address : settings_.addresses) {
    const bool own_sockets = address.is_ip() && settings_.options.reuse_port;
    for (size_t i = 0; i < workers; ++i) {
      if (own_sockets || i == 0) {
        auto fd = ListenSocket::Open(address, settings_.options);
        if (!fd.ok()) return fd.status();
        sockets_[i].push_back(*fd);
      } else {
        sockets_[i].push_back(::dup(sockets_[0].back()));
      }
    }
  }
  stats_ = std::make_unique<const Stats>(scope());
  chains_.ForEach([this](const NetworkChain& chain) {
    for (const auto& filter : chain.filters) filter->OnBound(scope());
  });
  return absl::OkStatus();
}

// listener.<address>, once the address is known.
stats::Scope Listener::scope() const {
  std::string label = settings_.stat_prefix;
  if (label.empty())
    label = settings_.addresses.empty() ? settings_.name : settings_.addresses.front().ToString();
  const stats::Scope listeners = store_.Root().Sub("listener");
  // As in Envoy the admin's is no address, so that sums over listeners are of traffic alone.
  return label == "admin" ? listeners.Sub(label)
                          : listeners.Sub(label, stats::tag::kListenerAddress);
}

void Listener::Start(const std::vector<Worker*>& workers) {
  for (const Worker* worker : workers) {
    const stats::Scope of_worker = scope().Sub(
        worker->index() == Worker::kMain ? "main_thread" : Cat("worker_", worker->index()));
    on_workers_.push_back(
        {of_worker.counter("downstream_cx_total"), of_worker.gauge("downstream_cx_active")});
  }
  for (size_t i = 0; i < workers.size(); ++i) {
    locals_.push_back(std::make_unique<PerWorker>());
    PerWorker& local = *locals_.back();
    local.worker = workers[i];
    workers[i]->Post([this, &local, fds = sockets_[i]] {
      for (size_t k = 0; k < fds.size(); ++k) {
        ListenSocket& socket =
            local.sockets.emplace_back(fds[k], settings_.options.original_destination);
        local.worker->scope().Spawn(Accept(*this, local, socket));
      }
    });
  }
  sockets_.clear();
}

Task<> Listener::Accept(Listener& listener, PerWorker& local, ListenSocket& socket) {
  while (co_await socket.WaitReadable()) {
    if (listener.settings_.overload->Saturated(OverloadState::kStopAcceptingConnections)) {
      // They wait in the system's queue, and are turned away there once it is full.
      if (!co_await Sleep(kAcceptPause)) co_return;
      continue;
    }
    uint64_t accepted = 0;
    for (uint32_t i = 0; i < listener.settings_.accepts_per_event && !local.stopped; ++i) {
      auto stream = socket.Accept();
      if (!stream.ok()) {
        listener.stats_->accept_failures.Add();
        SLUICE_LOG(kWarning, kConnection, listener.name(),
                   ": cannot accept: ", Std(stream.status().message()));
        if (!co_await Sleep(kAcceptPause)) co_return;
        break;
      }
      if (*stream == nullptr) break;
      ++accepted;
      listener.Welcome(local, *std::move(stream));
    }
    if (accepted > 0) listener.stats_->accepted_per_event.Record(accepted);
    co_await Yield();  // Connections that are open want their turn, too.
  }
}

// Whether there is room for one more connection; counts why not.
bool Listener::MayServe(Worker& worker) {
  const OverloadState& overload = *settings_.overload;
  if (overload.Applies(OverloadState::kShedAccept, worker.rng()) ||
      overload.Applies(OverloadState::kRejectConnections, worker.rng())) {
    stats_->overload_reject.Add();
    return false;
  }
  if (open_.fetch_add(1, std::memory_order_relaxed) >= settings_.max_connections.Get()) {
    open_.fetch_sub(1, std::memory_order_relaxed);
    stats_->cx_overflow.Add();
    return false;
  }
  if (settings_.counts_globally && !budget_.Take()) {
    open_.fetch_sub(1, std::memory_order_relaxed);
    stats_->global_cx_overflow.Add();
    return false;
  }
  return true;
}

void Listener::Welcome(PerWorker& local, StreamPtr stream) {
  if (!MayServe(*local.worker)) return stream->Close(true);
  auto connection = std::make_unique<Connection>(*local.worker, std::move(stream));
  connection->facts.id = NextConnectionId(*local.worker);
  connection->facts.local = connection->stream->local_address();
  connection->facts.remote = connection->stream->remote_address();
  connection->facts.chain = &no_chain_;
  connection->buffer_limit = settings_.buffer_limit;
  connection->draining = local.draining;
  connection->LinkTo(local.connections);
  Canceller& canceller = connection->canceller;
  Serve(local.worker->scope(), canceller, *this, std::move(connection));
}

// What the listener filters make of a connection; false when it ends here.
Task<bool> Listener::Inspect(Listener& listener, Connection& connection) {
  const ListenerSettings& settings = listener.settings_;
  listener.stats_->pre_cx_active.Add();
  Deadline deadline(connection.worker.wheel(), connection.canceller,
                    settings.listener_filters_timeout);
  absl::Status status;
  for (const auto& filter : listener.listener_filters_) {
    status = co_await filter->Inspect(connection);
    if (!status.ok()) break;
  }
  const bool expired = deadline.Expired();
  listener.stats_->pre_cx_active.Sub();
  if (status.ok()) co_return true;
  if (expired) {
    listener.stats_->pre_cx_timeout.Add();
    co_return settings.continue_on_listener_filters_timeout && !connection.canceller.cancelled();
  }
  const Reason reason = ReasonOf(status);
  if (reason == Reason::kDownstreamClosed || reason == Reason::kConnectionTerminated)
    listener.stats_->listener_filter_remote_close.Add();
  if (reason == Reason::kDownstreamProtocol) {
    listener.stats_->listener_filter_error.Add();
    SLUICE_LOG(kDebug, kConnection, listener.name(), ": ",
               connection.facts.direct_remote().ToString(), ": ", Std(status.message()));
  }
  co_return false;
}

// The filters of the chain that matches, which makes the connection count; nothing where none does.
Task<> Listener::RunChain(Connection& connection) const {
  const NetworkChain* chain = chains_.Find(connection.facts);
  ConnectionRecord* record = connection.facts.record.get();
  if (chain == nullptr) {
    stats_->no_filter_chain_match.Add();
    if (record != nullptr) {
      record->Note(ResponseFlag::kNoRouteFound);
      record->set_details("filter_chain_not_found");
    }
    return {};
  }
  connection.facts.chain = &chain->facts;
  const OnWorker& on_worker = on(connection.worker);
  stats_->cx_total.Add();
  stats_->cx_active.Add();
  on_worker.cx_total.Add();
  on_worker.cx_active.Add();
  if (record != nullptr)
    connection.stream =
        std::make_unique<MeteredStream>(std::move(connection.stream), record->meter);
  return NetworkNext(chain->filters, 0)(connection);
}

// One line about a connection that has ended.
void Listener::Log(Connection& connection) const {
  ConnectionRecord& record = *connection.facts.record;
  record.set_remote_address(connection.facts.remote);
  record.bytes.body_received = record.meter.received;
  record.bytes.body_sent = record.meter.sent;
  record.time.connection_closed = Now();
  if (record.meter.reset) record.close = DetectedClose::kRemoteReset;
  for (const AccessLoggerPtr& logger : settings_.access_logs)
    logger->Log(LogContext{record, "NotSet"});
}

// The connection, whose canceller it is, dies with the frame: after the scope has heard of the end.
Scope::Spawned Listener::Serve(Scope&, Canceller&, Listener& listener,
                               std::unique_ptr<Connection> connection) {
  if (!listener.settings_.access_logs.empty()) {
    connection->facts.record = std::make_unique<ConnectionRecord>(
        connection->worker, connection->scope, connection->canceller, connection->facts);
    connection->facts.record->time.start = connection->facts.opened;
    connection->facts.record->time.wall_start = WallNow();
  }
  if (listener.listener_filters_.empty() || co_await Inspect(listener, *connection))
    co_await listener.RunChain(*connection);
  connection->Unlink();
  if (!connection->scope.empty()) {
    connection->scope.Cancel();
    co_await connection->scope.Join();
  }
  connection->stream->Close();
  if (connection->facts.record != nullptr) listener.Log(*connection);
  if (connection->facts.chain != &listener.no_chain_) {  // Others are not counted, as in Envoy.
    listener.stats_->cx_active.Sub();
    listener.on(connection->worker).cx_active.Sub();
    listener.stats_->cx_destroy.Add();
    listener.stats_->cx_length_ms.Record(
        static_cast<uint64_t>(Milliseconds(Now() - connection->facts.opened)));
  }
  listener.open_.fetch_sub(1, std::memory_order_relaxed);
  if (listener.settings_.counts_globally) listener.budget_.Give();
}

bool Listener::StopAccepting() {
  for (auto& local : locals_) {
    local->worker->Post([local = local.get()] {
      local->stopped = true;
      for (ListenSocket& socket : local->sockets) socket.Close();
    });
  }
  return !std::exchange(stopped_, true);
}

void Listener::Drain() {
  for (auto& local : locals_) {
    local->worker->Post([local = local.get()] { local->DrainConnections(); });
  }
}

}  // namespace sluice
