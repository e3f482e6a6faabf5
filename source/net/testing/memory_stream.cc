// See memory_stream.h. Worker thread only.
#include "source/net/testing/memory_stream.h"

#include <algorithm>
#include <cstring>

#include "source/base/reason.h"

namespace sluice {
namespace {

constexpr uint64_t kRandomChunk = 16;

// One direction.
struct Pipe {
  explicit Pipe(size_t capacity) : capacity(capacity) {}

  bool HasNews() const { return !bytes.empty() || ended || reset; }
  void WakeReader() {
    while (reader != nullptr) reader->Wake();
  }

  const size_t capacity;
  std::string bytes;
  bool ended = false;  // the writer has said all
  bool reset = false;  // the writer is gone and did not say so
  bool reader_closed = false;
  Suspension* reader = nullptr;
  Event writable;
};

struct Pair {
  explicit Pair(const MemoryOptions& options)
      : pipes{Pipe(options.capacity), Pipe(options.capacity)},
        options(options),
        rng(options.seed) {}
  Pipe pipes[2];
  const MemoryOptions options;
  Rng rng;
};

absl::Status CancelledError() {
  return MakeError(Reason::kCancelled);
}

class MemoryStream final : public Stream {
 public:
  MemoryStream(std::shared_ptr<Pair> pair, int side)
      : pair_(std::move(pair)),
        in_(pair_->pipes[side]),
        out_(pair_->pipes[1 - side]),
        side_(side) {}
  ~MemoryStream() override { Close(false); }

  Task<absl::StatusOr<size_t>> ReadSome(absl::Span<char> buffer) override {
    while (true) {
      if (!co_await WaitReadable()) co_return CancelledError();
      auto count = TryRead(buffer);
      if (!count.ok()) co_return count.status();
      if (count->has_value()) co_return **count;
    }
  }

  absl::StatusOr<std::optional<size_t>> TryRead(absl::Span<char> buffer) override {
    if (closed_) return CancelledError();
    if (in_.bytes.empty()) {
      if (in_.reset) return MakeError(Reason::kConnectionTerminated, "Connection reset by peer");
      return in_.ended ? std::optional<size_t>(0) : std::nullopt;
    }
    const size_t count = std::min({buffer.size(), in_.bytes.size(), Most()});
    std::memcpy(buffer.data(), in_.bytes.data(), count);
    in_.bytes.erase(0, count);
    in_.writable.Set();
    return count;
  }

  Waiting WaitReadable() override {
    if (closed_ || in_.HasNews()) return Waiting(!closed_);
    return Waiting(in_.reader);
  }

  absl::StatusOr<size_t> TryWrite(absl::Span<const std::string_view> parts) override {
    if (closed_) return CancelledError();
    if (out_.reader_closed || out_.ended)
      return MakeError(Reason::kConnectionTerminated, "Broken pipe");
    size_t count = 0;
    for (std::string_view part : parts) {
      const size_t fits = std::min(part.size(), out_.capacity - out_.bytes.size());
      out_.bytes.append(part.substr(0, fits));
      count += fits;
    }
    if (count > 0) out_.WakeReader();
    return count;
  }

  Task<absl::Status> Write(absl::Span<const std::string_view> parts) override {
    const std::shared_ptr<Pair> keep = pair_;
    for (std::string_view rest : parts) {
      while (!rest.empty()) {
        auto count = TryWrite({&rest, 1});
        if (!count.ok()) co_return count.status();
        rest.remove_prefix(*count);
        if (rest.empty()) break;
        out_.writable.Clear();
        if (!co_await out_.writable.Wait()) co_return CancelledError();
      }
    }
    co_return absl::OkStatus();
  }

  void ShutdownWrite() override {
    out_.ended = true;
    out_.WakeReader();
  }

  void Close(bool reset) override {
    if (std::exchange(closed_, true)) return;
    (reset || !in_.bytes.empty() ? out_.reset : out_.ended) = true;
    in_.reader_closed = true;
    // Those who wait at either end find out what has happened.
    while (in_.reader != nullptr) in_.reader->Abort();
    out_.WakeReader();
    for (Pipe* pipe : {&in_, &out_}) pipe->writable.Set();
  }

  Address local_address() const override {
    return side_ == 0 ? pair_->options.first : pair_->options.second;
  }
  Address remote_address() const override {
    return side_ == 0 ? pair_->options.second : pair_->options.first;
  }

 private:
  size_t Most() {
    switch (pair_->options.chunking) {
      case Chunking::kOne:
        return 1;
      case Chunking::kRandom:
        return 1 + pair_->rng.Below(kRandomChunk);
      case Chunking::kAll:
        break;
    }
    return SIZE_MAX;
  }

  const std::shared_ptr<Pair> pair_;
  Pipe& in_;
  Pipe& out_;
  const int side_;
  bool closed_ = false;
};

}  // namespace

std::pair<StreamPtr, StreamPtr> MemoryPair(const MemoryOptions& options) {
  auto pair = std::make_shared<Pair>(options);
  return {std::make_unique<MemoryStream>(pair, 0), std::make_unique<MemoryStream>(pair, 1)};
}

Task<absl::StatusOr<StreamPtr>> MemoryNetwork::Dial(Address address, DialOptions) const {
  if (co_await kIsCancelled) co_return CancelledError();
  const auto listener = listeners_.find(address);
  if (listener == listeners_.end())
    co_return MakeError(Reason::kConnectRefused, "Connection refused");
  MemoryOptions options = options_;
  options.first = Address::Ipv4(INADDR_LOOPBACK, 1);
  options.second = address;
  auto [near, far] = MemoryPair(options);
  listener->second(std::move(far));
  co_return std::move(near);
}

}  // namespace sluice
