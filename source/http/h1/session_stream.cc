// Reading through what was buffered. Worker thread only.
#include "source/http/h1/session_stream.h"

#include "source/base/reason.h"

namespace sluice {

std::optional<size_t> SessionStream::TakeBuffered(absl::Span<char> buffer) {
  ReadBuffer& buffered = lease_->buffer_;
  if (buffered.empty()) return std::nullopt;
  const size_t count = std::min(buffer.size(), buffered.view().size());
  std::memcpy(buffer.data(), buffered.view().data(), count);
  buffered.Consume(count);
  if (buffered.empty()) buffered.Release();
  return count;
}

void SessionStream::NoteReset(const absl::Status& read) {
  if (read.ok()) return;
  if (ReasonOf(read) == Reason::kConnectionTerminated) lease_->peer_closed_ = true;
}

Task<absl::StatusOr<size_t>> SessionStream::ReadSome(absl::Span<char> buffer) {
  if (const auto taken = TakeBuffered(buffer)) co_return *taken;
  auto count = co_await stream().ReadSome(buffer);
  NoteReset(count.status());
  if (count.ok()) lease_->meters_.received.Add(*count);
  co_return count;
}

absl::StatusOr<std::optional<size_t>> SessionStream::TryRead(absl::Span<char> buffer) {
  if (const auto taken = TakeBuffered(buffer)) return taken;
  auto count = stream().TryRead(buffer);
  NoteReset(count.status());
  if (count.ok() && count->has_value()) lease_->meters_.received.Add(**count);
  return count;
}

Waiting SessionStream::WaitReadable() {
  return lease_->buffer_.empty() ? stream().WaitReadable() : Waiting(true);
}

absl::StatusOr<size_t> SessionStream::TryWrite(absl::Span<const std::string_view> parts) {
  auto count = stream().TryWrite(parts);
  if (count.ok()) lease_->meters_.sent.Add(*count);
  return count;
}

bool SessionStream::IsPlain() const {
  return lease_->buffer_.empty() && socket_ != nullptr && socket_->IsPlain();
}

absl::StatusOr<std::optional<size_t>> SessionStream::TryFill(Pipe& pipe) {
  auto count = socket_->TryFill(pipe);
  NoteReset(count.status());
  if (count.ok() && count->has_value()) lease_->meters_.received.Add(**count);
  return count;
}

absl::StatusOr<size_t> SessionStream::TryDrain(Pipe& pipe) {
  auto count = socket_->TryDrain(pipe);
  if (count.ok()) lease_->meters_.sent.Add(*count);
  return count;
}

Task<absl::Status> SessionStream::Drain(Pipe& pipe) {
  const size_t held = pipe.held();
  absl::Status status = co_await socket_->Drain(pipe);
  lease_->meters_.sent.Add(held - pipe.held());
  co_return status;
}

Task<absl::Status> SessionStream::Write(absl::Span<const std::string_view> parts) {
  absl::Status status = co_await stream().Write(parts);
  if (status.ok()) {
    for (std::string_view part : parts) lease_->meters_.sent.Add(part.size());
  }
  co_return status;
}

}  // namespace sluice
