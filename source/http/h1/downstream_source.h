// DownstreamSource: a client's connection as the body of a request sees it. Worker thread only.
#pragma once

#include <memory>
#include <utility>

#include "source/base/reason.h"
#include "source/http/h1/h1_exchange.h"
#include "source/http/h1/server_session.h"

namespace sluice {

/// What a PlainBody or ChunkedBody of a request reads from. Belongs to the body, which ends before
/// the session.
class DownstreamSource {
 public:
  explicit DownstreamSource(H1Exchange& exchange) : exchange_(&exchange) {}
  DownstreamSource(DownstreamSource&& other) noexcept
      : exchange_(std::exchange(other.exchange_, nullptr)) {}
  ~DownstreamSource() {
    if (exchange_ == nullptr) return;
    if (!exchange_->request_done) exchange_->body_dropped = true;
    exchange_->body_over.Set();
  }

  ReadBuffer& buffer() const { return exchange_->session().buffer_; }
  Stream& stream() const { return exchange_->session().stream(); }
  void Received(size_t bytes) {
    exchange_->bytes.downstream_wire_received += bytes;
    exchange_->session().settings_.received.Add(bytes);
    exchange_->Touch();
  }
  void Delivered(size_t bytes) { exchange_->bytes.body_received += bytes; }
  void Ended() {
    exchange_->request_done = true;
    if (exchange_->time.request_received == TimePoint{}) exchange_->time.request_received = Now();
    exchange_->request_.Disarm();
    exchange_->WatchClient();
  }
  absl::Status Failed(absl::Status error) const {
    return ReasonOf(error) == Reason::kCancelled ? error : Truncated();
  }
  absl::Status Truncated() const { return MakeError(Reason::kDownstreamClosed); }
  absl::Status Malformed(std::string_view details) const {
    return MakeError(Reason::kDownstreamProtocol, details);
  }
  size_t max_read() const { return exchange_->session().connection_.buffer_limit; }
  bool KeepsTrailers() const { return exchange_->session().settings_.enable_trailers; }
  bool NeedsPrelude() const { return exchange_->continue_wanted; }
  Task<absl::Status> Prelude() {
    return exchange_->SendInterim(std::make_unique<ResponseHead>(100));
  }

 private:
  H1Exchange* exchange_;
};

}  // namespace sluice
