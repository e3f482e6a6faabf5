// TcpStream: a Stream over a TCP or Unix socket. Belongs to one worker.
#pragma once

#include <optional>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "source/net/stream.h"

namespace sluice {

using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;

class TcpStream final : public Stream {
 public:
  /// Takes a connected, non-blocking socket.
  explicit TcpStream(Socket socket, Address remote);

  Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) override;
  absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) override;
  Task<absl::Status> WaitReadable() override;
  absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view> parts) override;
  Task<absl::Status> Write(absl::Span<const std::string_view> parts) override;
  void ShutdownWrite() override;
  void Close(bool reset) override;
  Address local_address() const override;
  Address remote_address() const override { return remote_; }
  /// The address that counts as ours from now on, in place of the system's answer.
  void set_local_address(const Address& address) { local_ = address; }

 private:
  Socket socket_;
  const Address remote_;
  mutable Address local_;  // Asked of the system once, when first wanted.
  bool write_ended_ = false;
};

/// The status for a failed socket operation.
absl::Status SocketError(const ErrorCode& error);

}  // namespace sluice
