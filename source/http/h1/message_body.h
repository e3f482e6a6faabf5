// Message bodies of HTTP/1.1, pulled from a connection: the same reading for requests and
// responses. Belongs to one worker.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "source/async/scope.h"
#include "source/base/free_lists.h"
#include "source/base/reason.h"
#include "source/http/body.h"
#include "source/http/framing.h"
#include "source/http/h1/chunked.h"
#include "source/http/h1/read_buffer.h"
#include "source/net/stream.h"

namespace sluice {

/// `Source` is the connection as its body sees it, a movable value:
///   ReadBuffer& buffer(); Stream& stream();
///   void Received(size_t bytes);                 // read from the stream
///   void Delivered(size_t bytes);                // of the body, without framing
///   void Ended();                                // the body came to its clean end
///   absl::Status Failed(absl::Status error);     // the stream failed; the error to report
///   absl::Status Truncated();                    // the peer ended the stream inside the body
///   absl::Status Malformed(std::string_view details);
///   size_t max_read();                           // the most bytes to hold at a time
///   bool KeepsTrailers();                        // else they are checked and dropped
///   bool NeedsPrelude(); Task<absl::Status> Prelude();   // what must happen before the first read
template <class Source>
class PlainBody final : public Body, public Pooled<PlainBody<Source>> {
 public:
  /// `length` is nullopt for a body that the end of the connection ends.
  PlainBody(Source source, std::optional<uint64_t> length)
      : source_(std::move(source)), left_(length) {}

  std::optional<uint64_t> Length() const override { return left_; }
  bool Ready() const override {
    return !source_.NeedsPrelude() && (left_ == 0 || !source_.buffer().empty());
  }

  Task<absl::StatusOr<Chunk>> Read() override {
    if ((source_.NeedsPrelude() && left_ != 0) || turn_ >= kTurn) return ReadLater(*this);
    auto ready = TryRead();
    return ready.has_value() ? Task<absl::StatusOr<Chunk>>(*std::move(ready)) : ReadLater(*this);
  }

 private:
  static constexpr size_t kMost = BufferRef::kLarge;
  // After so much that was there at once the other connections of the worker have their turn.
  static constexpr size_t kTurn = 1024 * 1024;

  static Task<absl::StatusOr<Chunk>> ReadLater(PlainBody& self) {
    if (self.source_.NeedsPrelude()) {
      if (absl::Status status = co_await self.source_.Prelude(); !status.ok()) co_return status;
    }
    if (self.turn_ >= kTurn) {
      self.turn_ = 0;
      co_await Yield();
      if (co_await kIsCancelled) co_return self.source_.Failed(MakeError(Reason::kCancelled));
    }
    while (true) {
      if (auto ready = self.TryRead()) co_return *std::move(ready);
      self.turn_ = 0;
      // No buffer is held while nothing comes.
      if (!co_await self.source_.stream().WaitReadable())
        co_return self.source_.Failed(MakeError(Reason::kCancelled));
    }
  }

  // What is there without waiting; nullopt when nothing is.
  std::optional<absl::StatusOr<Chunk>> TryRead() {
    if (left_ == 0) return Chunk();
    if (!source_.buffer().empty()) return Gather();
    if (!broken_.ok()) return source_.Failed(std::move(broken_));
    const size_t size = Wanted();
    BufferRef target = BufferRef::Take(size);
    const auto count = source_.stream().TryRead({target.data(), size});
    if (!count.ok()) return source_.Failed(count.status());
    if (!count->has_value()) return std::nullopt;
    return Took(std::move(target), size, **count);
  }

  // How much to ask for: all that is to come where that is known, else little at first.
  size_t Wanted() {
    const size_t most =
        left_.has_value() ? static_cast<size_t>(std::min<uint64_t>(*left_, kMost)) : size_;
    return std::min(most, source_.max_read());
  }

  // `count` bytes were read into the `size` bytes of `target`.
  absl::StatusOr<Chunk> Took(BufferRef target, size_t size, size_t count) {
    if (count == 0) return AtEndOfStream();
    source_.Received(count);
    turn_ += count;
    // A stream that fills what it is given is bulky: fewer, larger reads serve it better.
    if (count == size) size_ = kMost;
    Took(count);
    const char* data = target.data();
    return Chunk{std::move(target), {data, count}};
  }

  // What came together with the head, and behind it in one piece what of the rest is there already:
  // copying a little costs less than one more write.
  Chunk Gather() {
    const std::string_view bytes = source_.buffer().view();
    const size_t wanted = Wanted();
    if (!left_.has_value() || *left_ <= bytes.size() || wanted <= bytes.size())
      return TakeBuffered();
    BufferRef target = BufferRef::Take(wanted);
    auto more = source_.stream().TryRead({target.data() + bytes.size(), wanted - bytes.size()});
    // A failure is told after the bytes that came before it; an end is found again.
    if (!more.ok()) broken_ = more.status();
    if (!more.ok() || !more->has_value() || **more == 0) return TakeBuffered();
    std::memcpy(target.data(), bytes.data(), bytes.size());
    const size_t count = bytes.size() + **more;
    source_.buffer().Consume(bytes.size());
    source_.Received(**more);
    Took(count);
    const char* data = target.data();
    return Chunk{std::move(target), {data, count}};
  }

  Chunk TakeBuffered() {
    ReadBuffer& buffer = source_.buffer();
    const std::string_view bytes = buffer.view();
    const size_t count = left_.has_value()
                             ? static_cast<size_t>(std::min<uint64_t>(*left_, bytes.size()))
                             : bytes.size();
    Chunk chunk{buffer.buffer(), bytes.substr(0, count)};
    buffer.Consume(count);
    Took(count);
    return chunk;
  }

  void Took(size_t count) {
    source_.Delivered(count);
    if (!left_.has_value()) return;
    *left_ -= count;
    if (*left_ == 0) source_.Ended();
  }

  absl::StatusOr<Chunk> AtEndOfStream() {
    if (left_.has_value()) return source_.Truncated();
    left_ = 0;
    source_.Ended();
    return Chunk();
  }

  Source source_;
  std::optional<uint64_t> left_;
  size_t size_ = BufferRef::kSmall;
  size_t turn_ = 0;
  absl::Status broken_;
};

template <class Source>
class ChunkedBody final : public Body, public Pooled<ChunkedBody<Source>> {
 public:
  explicit ChunkedBody(Source source)
      : source_(std::move(source)),
        trailers_(arena_),
        kept_(source_.KeepsTrailers() ? &trailers_ : nullptr) {
    Advance();
  }

  bool Ready() const override {
    return !source_.NeedsPrelude() && step_.state != ChunkedDecoder::Step::kNeedMore;
  }
  Headers* trailers() override { return trailers_.empty() ? nullptr : &trailers_; }

  Task<absl::StatusOr<Chunk>> Read() override {
    if (source_.NeedsPrelude()) {
      if (absl::Status status = co_await source_.Prelude(); !status.ok()) co_return status;
    }
    while (step_.state == ChunkedDecoder::Step::kNeedMore) {
      const absl::Span<char> room = source_.buffer().Room(least_);
      auto count = co_await source_.stream().ReadSome(room);
      if (!count.ok()) co_return source_.Failed(count.status());
      if (*count == 0) co_return source_.Truncated();
      source_.buffer().Added(*count);
      source_.Received(*count);
      if (*count == room.size()) least_ = std::min(BufferRef::kLarge, source_.max_read()) / 2;
      Advance();
    }
    if (step_.state == ChunkedDecoder::Step::kError) co_return source_.Malformed(step_.details);
    if (step_.state == ChunkedDecoder::Step::kEnd) {
      source_.Ended();
      co_return Chunk();
    }
    Chunk chunk{source_.buffer().buffer(), step_.data};
    Advance();
    JoinTiny(&chunk);
    source_.Delivered(chunk.data.size());
    co_return chunk;
  }

 private:
  static constexpr size_t kTiny = 512;

  // Adds what came with `chunk` in tiny chunks: each would cost a write of its own. They move up
  // over the framing between them, bytes that nobody has seen.
  void JoinTiny(Chunk* chunk) {
    while (step_.state == ChunkedDecoder::Step::kData && step_.data.size() <= kTiny) {
      char* const end = const_cast<char*>(chunk->data.data() + chunk->data.size());
      std::memmove(end, step_.data.data(), step_.data.size());
      chunk->data = {chunk->data.data(), chunk->data.size() + step_.data.size()};
      Advance();
    }
  }

  // Decodes one step ahead. Its bytes stay where they are: a shared buffer is never overwritten.
  void Advance() {
    step_ = decoder_.Next(source_.buffer().view(), kept_);
    source_.buffer().Consume(step_.consumed);
  }

  Source source_;
  ChunkedDecoder decoder_;
  ChunkedDecoder::Step step_;
  Arena arena_;
  Headers trailers_;
  Headers* const kept_;  // where trailers go
  size_t least_ = 1;
};

/// The body that `framing` announces (kLength, kChunked or kUntilClose).
template <class Source>
BodyPtr MakeBody(Source source, const Framing& framing) {
  if (framing.kind == Framing::kChunked)
    return std::make_unique<ChunkedBody<Source>>(std::move(source));
  const auto length =
      framing.kind == Framing::kLength ? std::optional(framing.length) : std::nullopt;
  return std::make_unique<PlainBody<Source>>(std::move(source), length);
}

}  // namespace sluice
