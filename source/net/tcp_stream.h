// TcpStream: a Stream over a TCP or Unix socket. Belongs to one worker.
#pragma once

#include <optional>

#include "source/async/poller.h"
#include "source/net/plain_socket.h"
#include "source/net/stream.h"

namespace sluice {

class TcpStream final : public Stream, public PlainSocket {
 public:
  /// Takes a connected, non-blocking socket of the calling worker.
  TcpStream(int fd, const Address& remote);
  ~TcpStream() override { Close(false); }

  Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) override;
  absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) override;
  Waiting WaitReadable() override;
  absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view> parts) override;
  Task<absl::Status> Write(absl::Span<const std::string_view> parts) override;
  void ShutdownWrite() override;
  void Close(bool reset) override;
  bool IsPlain() const override { return true; }
  Address local_address() const override;
  Address remote_address() const override { return remote_; }
  /// The address that counts as ours from now on, in place of the system's answer.
  void set_local_address(const Address& address) { local_ = address; }

  absl::StatusOr<std::optional<size_t>> TryFill(Pipe& pipe) override;
  absl::StatusOr<size_t> TryDrain(Pipe& pipe) override;
  Task<absl::Status> Drain(Pipe& pipe) override;

 private:
  static Task<absl::StatusOr<size_t>> ReadLater(TcpStream& self, absl::Span<char> buffer);
  bool SeesSomething();
  static Task<absl::Status> DrainLater(TcpStream& self, Pipe& pipe);
  struct Parts;
  static Task<absl::Status> WriteLater(TcpStream& self, Parts parts);

  Readiness readiness_;
  int fd_;  // -1 when closed
  bool write_ended_ = false;
  const Address remote_;
  mutable Address local_;  // Asked of the system once, when first wanted.
};

/// The status for a failed socket call: kConnectionTerminated with the system's words.
absl::Status SocketError(int error);

}  // namespace sluice
