// MeteredStream: a stream whose bytes are counted, and whether the peer has broken off. Belongs to
// one worker.
#pragma once

#include <cstdint>

#include "source/net/plain_socket.h"
#include "source/net/stream.h"

namespace sluice {

struct StreamMeter {
  uint64_t received = 0;
  uint64_t sent = 0;
  bool reset = false;  // reading has met the peer's reset
};

class MeteredStream final : public Stream, public PlainSocket {
 public:
  /// `meter` outlives every call, but not the stream.
  MeteredStream(StreamPtr stream, StreamMeter& meter)
      : stream_(std::move(stream)),
        socket_(dynamic_cast<PlainSocket*>(stream_.get())),
        meter_(meter) {}

  Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) override;
  absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) override;
  Waiting WaitReadable() override { return stream_->WaitReadable(); }
  absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view> parts) override;
  Task<absl::Status> Write(absl::Span<const std::string_view> parts) override;
  void ShutdownWrite() override { stream_->ShutdownWrite(); }
  void Close(bool reset) override { stream_->Close(reset); }
  bool IsPlain() const override { return socket_ != nullptr && socket_->IsPlain(); }
  absl::StatusOr<std::optional<size_t>> TryFill(Pipe& pipe) override;
  absl::StatusOr<size_t> TryDrain(Pipe& pipe) override;
  Task<absl::Status> Drain(Pipe& pipe) override;
  Address local_address() const override { return stream_->local_address(); }
  Address remote_address() const override { return stream_->remote_address(); }
  std::string_view requested_server_name() const override {
    return stream_->requested_server_name();
  }
  bool is_tls() const override { return stream_->is_tls(); }

 private:
  static Task<absl::StatusOr<size_t>> CountRead(MeteredStream& self,
                                                Task<absl::StatusOr<size_t>> read);
  static Task<absl::Status> CountWrite(MeteredStream& self, Task<absl::Status> write, size_t bytes);
  void Received(const absl::Status& status, size_t bytes);

  const StreamPtr stream_;
  PlainSocket* const socket_;  // the stream, if it is one
  StreamMeter& meter_;
};

}  // namespace sluice
