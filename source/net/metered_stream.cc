// Counting what passes. Belongs to one worker.
#include "source/net/metered_stream.h"

#include "source/base/reason.h"

namespace sluice {

void MeteredStream::Received(const absl::Status& status, size_t bytes) {
  meter_.received += bytes;
  if (!status.ok() && ReasonOf(status) == Reason::kConnectionTerminated) meter_.reset = true;
}

Task<absl::StatusOr<size_t>> MeteredStream::ReadSome(absl::Span<char> buffer) {
  return CountRead(*this, stream_->ReadSome(buffer));
}

Task<absl::StatusOr<size_t>> MeteredStream::CountRead(MeteredStream& self,
                                                      Task<absl::StatusOr<size_t>> read) {
  absl::StatusOr<size_t> count = co_await std::move(read);
  self.Received(count.status(), count.ok() ? *count : 0);
  co_return count;
}

absl::StatusOr<std::optional<size_t>> MeteredStream::TryRead(absl::Span<char> buffer) {
  auto count = stream_->TryRead(buffer);
  Received(count.status(), count.ok() ? count->value_or(0) : 0);
  return count;
}

absl::StatusOr<size_t> MeteredStream::TryWrite(absl::Span<const std::string_view> parts) {
  auto count = stream_->TryWrite(parts);
  if (count.ok()) meter_.sent += *count;
  return count;
}

Task<absl::Status> MeteredStream::Write(absl::Span<const std::string_view> parts) {
  size_t bytes = 0;
  for (const std::string_view part : parts) bytes += part.size();
  return CountWrite(*this, stream_->Write(parts), bytes);
}

Task<absl::Status> MeteredStream::CountWrite(MeteredStream& self, Task<absl::Status> write,
                                             size_t bytes) {
  absl::Status status = co_await std::move(write);
  if (status.ok()) self.meter_.sent += bytes;
  co_return status;
}

absl::StatusOr<std::optional<size_t>> MeteredStream::TryFill(Pipe& pipe) {
  auto count = socket_->TryFill(pipe);
  Received(count.status(), count.ok() ? count->value_or(0) : 0);
  return count;
}

absl::StatusOr<size_t> MeteredStream::TryDrain(Pipe& pipe) {
  auto count = socket_->TryDrain(pipe);
  if (count.ok()) meter_.sent += *count;
  return count;
}

Task<absl::Status> MeteredStream::Drain(Pipe& pipe) {
  return CountWrite(*this, socket_->Drain(pipe), pipe.held());
}

}  // namespace sluice
