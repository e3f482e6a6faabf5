// ServerSession: one downstream HTTP/1.1 connection: reads requests one after the other, has each
// answered, writes the responses, and decides when the connection ends. Belongs to one worker.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "source/async/drainable.h"
#include "source/base/metric.h"
#include "source/base/overload_state.h"
#include "source/http/connection.h"
#include "source/http/exchange.h"
#include "source/http/h1/head_parser.h"
#include "source/http/h1/head_writer.h"
#include "source/http/h1/read_buffer.h"
#include "source/http/message.h"

namespace sluice {

/// Answers the requests of a connection: the HTTP connection manager. Called on the connection's
/// worker.
class ExchangeHandler {
 public:
  virtual ~ExchangeHandler() = default;
  /// The whole way of a request through filters and router. `request.head` is
  /// exchange.request_head().
  virtual Task<Response> OnRequest(Request request, Exchange& exchange) const = 0;
  /// An interim (1xx) response is about to be written: the origin's, or our own 100.
  virtual void OnInterim(int status) const {}
  /// The answer to OnRequest is about to be written: the last word on its head.
  virtual void OnResponse(Response& response, Exchange& exchange) const {}
  /// The answer to bytes that are no acceptable request, or with HeadFault::kShed to a head that
  /// only overload speaks against; the connection is closed behind it.
  virtual Response OnBadRequest(const HeadResult& result, Exchange& exchange) const = 0;
  /// The tunnel of this exchange is open: its head has been written.
  virtual void OnTunnel(Exchange& exchange) const = 0;
  /// The exchange is over, whatever became of it: count and log it.
  virtual void OnComplete(Exchange& exchange) const = 0;
};

/// The health of whoever has no admin to say otherwise.
inline const std::atomic<bool> kHealthy{true};

/// Zero durations: no limit, but for delayed_close_timeout: no delay. Defaults are Envoy's, but for
/// the header timeout, which Envoy leaves off.
struct ServerSessionSettings {
  HeadLimits limits;
  Duration idle_timeout = std::chrono::hours(1);
  Duration request_headers_timeout = std::chrono::seconds(60);
  Duration request_timeout{};
  Duration stream_idle_timeout = std::chrono::minutes(5);
  Duration max_stream_duration{};
  Duration max_connection_duration{};
  Duration drain_timeout{};  // so much longer may an idle connection wait for its last request
  Duration delayed_close_timeout = std::chrono::seconds(1);
  uint32_t max_requests_per_connection = 0;  // 0: no limit
  bool proxy_100_continue = false;
  bool enable_trailers = false;  // those of requests are kept, those of responses written
  const OverloadState* overload = &OverloadState::Calm();
  const std::atomic<bool>* healthy = &kHealthy;  // of the process; else answers end connections
  /// downstream_cx_rx_bytes_total, downstream_cx_tx_bytes_total
  Counter received, sent;
  /// downstream_cx_idle_timeout, downstream_cx_max_duration_reached,
  /// downstream_cx_max_requests_reached, downstream_cx_overload_disable_keepalive
  Counter idle_timeouts, duration_timeouts, request_limits, overload_closes;
  /// downstream_cx_delayed_close_timeout, downstream_flow_control_paused_reading_total,
  /// downstream_flow_control_resumed_reading_total
  Counter delayed_closes, reading_paused, reading_resumed;
  /// downstream_rq_overload_close, of connections that end before their first request.
  Counter shed_connections;
};

class H1Exchange;

class ServerSession : public Drainable {
 public:
  /// All arguments outlive the session. `connection.canceller` is that of the coroutine that awaits
  /// Run(). Is told of it when the connection drains.
  ServerSession(Connection& connection, const ExchangeHandler& handler,
                const ServerSessionSettings& settings);
  virtual ~ServerSession();

  /// Serves the connection to its end and closes it.
  static Task<> Run(std::unique_ptr<ServerSession> session);

  /// At the end of Run(): the client ended the connection, not we.
  bool closed_by_peer() const { return closed_by_peer_; }

  /// Take no further request: an idle connection ends now, a busy one after its response.
  void Drain() override;

 protected:
  const Connection& connection() const { return connection_; }
  const ServerSessionSettings& settings() const { return settings_; }

 private:
  friend class H1Exchange;
  friend class DownstreamSource;
  enum class After : uint8_t { kNext, kClose, kLinger };

  bool MayAwaitRequest() const;
  class Patience;
  Duration LeftToLive() const;
  Duration LeftToWait() const;
  bool IsTooOld() const { return LeftToLive() <= Duration::zero(); }
  bool ShedsNew() const;
  Task<After> ServeOne();
  Task<HeadResult> ReadHead(H1Exchange& exchange, RequestHead& head, Framing* framing);
  static Task<HeadResult> ReadMoreOfHead(ServerSession& self, H1Exchange& exchange,
                                         RequestHead& head, Framing* framing);
  static void Shed(HeadResult* result);
  void Received(H1Exchange& exchange, size_t bytes);
  void LimitAnswer(H1Exchange& exchange) const;
  void KeepRefused(H1Exchange& exchange, RequestHeadPtr head);
  Request BeginRequest(H1Exchange& exchange, RequestHeadPtr head, size_t consumed);
  bool BeginAnswer(H1Exchange& exchange, Response& response, ResponseFraming* framing);
  Task<> Tunnel(H1Exchange& exchange, Stream& upstream);
  After EndAnswer(H1Exchange& exchange, const ResponseFraming& framing) const;
  ResponseFraming FramingFor(const H1Exchange& exchange, const Response& response) const;
  bool MayStay(const H1Exchange& exchange) const;
  Task<bool> WriteBody(H1Exchange& exchange, Response& response, const ResponseFraming& framing);
  Task<absl::Status> Send(H1Exchange& exchange, std::string_view data, std::string_view tail);
  static Task<absl::Status> SendRest(ServerSession& self, H1Exchange& exchange,
                                     std::string_view data, std::string_view tail, size_t gone);
  void Sent(H1Exchange& exchange, size_t size, size_t body);
  Task<> Linger();

  Worker& worker() const { return connection_.worker; }
  Stream& stream() const { return *connection_.stream; }
  Canceller& canceller() const { return connection_.canceller; }

  Connection& connection_;
  const ExchangeHandler& handler_;
  const ServerSessionSettings& settings_;
  ReadBuffer buffer_;
  std::unique_ptr<H1Exchange> exchange_;  // the one that runs
  uint32_t requests_ = 0;
  bool idle_ = false;
  bool closed_by_peer_ = false;
};

}  // namespace sluice
