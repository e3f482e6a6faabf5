// ClientSession: one upstream HTTP/1.1 connection: writes a request, reads its response, and knows
// whether the connection may be used again. Belongs to one worker.
#pragma once

#include <memory>

#include "source/base/free_lists.h"
#include "source/base/metric.h"
#include "source/http/exchange.h"
#include "source/http/h1/head_parser.h"
#include "source/http/h1/read_buffer.h"
#include "source/http/message.h"

namespace sluice {

class ClientSession;

/// The right to use a session for one exchange. When it dies the session goes back to its owner, or
/// is closed.
class SessionLease {
 public:
  SessionLease() = default;
  explicit SessionLease(std::shared_ptr<ClientSession> session) : session_(std::move(session)) {}
  SessionLease(SessionLease&&) noexcept = default;
  SessionLease& operator=(SessionLease&& other) noexcept;
  ~SessionLease() {
    if (session_ != nullptr) Release();
  }

  ClientSession* operator->() const { return session_.get(); }
  ClientSession& operator*() const { return *session_; }
  explicit operator bool() const { return session_ != nullptr; }
  const std::shared_ptr<ClientSession>& shared() const { return session_; }

 private:
  void Release();

  std::shared_ptr<ClientSession> session_;
};

class ClientSession {
 public:
  struct Limits {
    size_t max_headers = 100;
    size_t max_head_bytes = 80 * 1024;
    size_t max_read = 1024 * 1024;
    bool enable_trailers = false;  // those of responses are kept, those of requests written
  };
  struct Meters {
    Counter received, sent;  // bytes
  };

  ClientSession(Worker& worker, StreamPtr stream, Limits limits, Meters meters);
  virtual ~ClientSession();
  ClientSession(const ClientSession&) = delete;

  /// Sends `request` (its body is taken) and returns when the head of the final response has come.
  /// The response's body holds the lease until it was read to its end or dropped. Interim responses
  /// go to exchange.SendInterim. A 101 to an upgrade and a 2xx to a CONNECT come back with `tunnel`
  /// set. Errors: kConnectionTerminated, kUpstreamProtocol, kCancelled; of the request's body those
  /// of its Read() (kDownstreamClosed, kDownstreamProtocol, kRequestTooLarge ...); of an interim
  /// response those of SendInterim. `request` and `exchange` outlive the task.
  static Task<absl::StatusOr<Response>> RoundTrip(SessionLease lease, Request& request,
                                                  Exchange& exchange);

  /// Uses the connection as a plain stream from now on.
  static StreamPtr IntoTunnel(SessionLease lease);

  /// True while both directions of the last exchange ended cleanly and the peer announced no close.
  bool reusable() const { return state_ == State::kIdle; }
  /// True when a kept connection is of no use any more: the peer has closed it, or spoken out of
  /// turn. A system call only where something came.
  bool IsStale();
  /// True when the failure came before a byte of the response.
  bool untouched() const { return !response_started_; }
  bool peer_closed() const { return peer_closed_; }
  /// A request, its response or a tunnel has not come to its end.
  bool busy() const { return !request_done_ || !response_done_; }
  Waiting WaitReadable() { return stream_->WaitReadable(); }

  /// While idle a session holds no buffer.
  void Shelve() { buffer_.Release(); }
  void Close(bool reset = false);
  Stream& stream() { return *stream_; }
  Worker& worker() { return worker_; }

 protected:
  /// The lease has ended: keep the session for another exchange or let it die.
  virtual void OnReleased(std::shared_ptr<ClientSession> self) { Close(); }

 private:
  friend class SessionLease;
  friend class UpstreamSource;
  friend class SessionStream;
  enum class State : uint8_t { kIdle, kBusy, kBroken };

  Task<absl::Status> SendRequest(const RequestHead& head, Exchange& exchange);
  static Task<absl::Status> EndRequestAfter(ClientSession& self, Task<absl::Status> written,
                                            Exchange& exchange);
  static Task<absl::Status> SendWithBody(std::shared_ptr<ClientSession> self, Request& request,
                                         Exchange& exchange);
  static Task<> PumpBody(std::shared_ptr<ClientSession> self, BodyPtr body, bool chunked,
                         Exchange& exchange);
  static Task<absl::StatusOr<Response>> ReceiveAfter(Task<absl::Status> sent, SessionLease lease,
                                                     const RequestHead& request,
                                                     Exchange& exchange);
  static Task<absl::StatusOr<Response>> Receive(SessionLease lease, const RequestHead& request,
                                                Exchange& exchange);
  HeadResult ParseHead(ResponseHeadParser& parser, ResponseHead* head, Framing* framing);
  static Response ResponseFrom(SessionLease lease, ResponseHeadPtr head, const Framing& framing,
                               Exchange& exchange);
  absl::Status FailedHead(absl::Status status);
  void WriteLast(Body& body);
  Task<absl::Status> SendPart(bool chunked, Chunk chunk, Exchange& exchange);
  static Task<absl::Status> SendRest(ClientSession& self, Chunk chunk, std::string_view tail,
                                     size_t gone, Exchange& exchange);
  void Sent(size_t size, Exchange& exchange);
  absl::Status Fill(Exchange& exchange);
  void Received(size_t bytes, Exchange& exchange);
  absl::Status Failed(absl::Status status);
  void EndRequest(Exchange& exchange);
  void EndResponse(Exchange& exchange);
  void BecomeIdle();

  Worker& worker_;
  StreamPtr stream_;
  const Limits limits_;
  const Meters meters_;
  ReadBuffer buffer_;
  State state_ = State::kIdle;
  absl::Status pump_error_;  // Why the request's body ended early.
  bool request_done_ = true;
  bool response_done_ = true;
  bool response_started_ = false;
  bool keep_alive_ = true;
  bool peer_closed_ = false;
};

}  // namespace sluice
