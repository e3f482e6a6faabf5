// SessionStream: what is left of an upstream connection when it stops being HTTP: first the bytes
// that came behind the head, then the stream itself. Holds the lease, so that the connection is
// still counted. Belongs to one worker.
#pragma once

#include "source/http/h1/client_session.h"
#include "source/net/plain_socket.h"

namespace sluice {

class SessionStream final : public Stream, public PlainSocket {
 public:
  explicit SessionStream(SessionLease lease)
      : lease_(std::move(lease)), socket_(dynamic_cast<PlainSocket*>(&stream())) {}

  Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) override;
  absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) override;
  Waiting WaitReadable() override;
  absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view> parts) override;
  Task<absl::Status> Write(absl::Span<const std::string_view> parts) override;
  void ShutdownWrite() override { stream().ShutdownWrite(); }
  void Close(bool reset) override { lease_->Close(reset); }
  bool IsPlain() const override;
  absl::StatusOr<std::optional<size_t>> TryFill(Pipe& pipe) override;
  absl::StatusOr<size_t> TryDrain(Pipe& pipe) override;
  Task<absl::Status> Drain(Pipe& pipe) override;
  Address local_address() const override { return stream().local_address(); }
  Address remote_address() const override { return stream().remote_address(); }

 private:
  Stream& stream() const { return lease_->stream(); }
  std::optional<size_t> TakeBuffered(absl::Span<char> buffer);
  void NoteReset(const absl::Status& read);  // the peer has ended the connection, not we

  SessionLease lease_;
  PlainSocket* const socket_;  // the stream, if it is one
};

}  // namespace sluice
