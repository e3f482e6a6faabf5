// PrefixStream: a stream of which some bytes were read already by somebody who was not meant to
// have them; they come first. Belongs to one worker.
#pragma once

#include <string>

#include "source/net/stream.h"

namespace sluice {

class PrefixStream final : public Stream {
 public:
  PrefixStream(std::string prefix, StreamPtr stream)
      : prefix_(std::move(prefix)), stream_(std::move(stream)) {}

  Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) override;
  absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) override;
  Waiting WaitReadable() override;
  absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view> parts) override {
    return stream_->TryWrite(parts);
  }
  Task<absl::Status> Write(absl::Span<const std::string_view> parts) override {
    return stream_->Write(parts);
  }
  void ShutdownWrite() override { stream_->ShutdownWrite(); }
  void Close(bool reset) override { stream_->Close(reset); }
  Address local_address() const override { return stream_->local_address(); }
  Address remote_address() const override { return stream_->remote_address(); }
  std::string_view requested_server_name() const override {
    return stream_->requested_server_name();
  }
  bool is_tls() const override { return stream_->is_tls(); }

 private:
  std::optional<size_t> TakePrefix(absl::Span<char> buffer);

  std::string prefix_;
  size_t taken_ = 0;
  const StreamPtr stream_;
};

}  // namespace sluice
