// Body: a message body that is pulled by its consumer. Not reading is back-pressure. Belongs to one
// worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "source/async/task.h"
#include "source/base/buffer.h"
#include "source/http/headers.h"

namespace sluice {

class Body {
 public:
  virtual ~Body() = default;

  /// The next bytes; an empty chunk is the end, and then trailers() is valid. After an error or the
  /// end, do not call again. Errors carry a Reason: kCancelled, kDownstreamClosed,
  /// kConnectionTerminated, kUpstreamProtocol, kDownstreamProtocol ...
  virtual Task<absl::StatusOr<Chunk>> Read() = 0;

  /// True when Read() will return without waiting, so that a head and its body can leave in one
  /// write.
  virtual bool Ready() const { return false; }

  /// The number of bytes still to come, where it is known; it decides between Content-Length and
  /// chunked.
  virtual std::optional<uint64_t> Length() const { return std::nullopt; }

  /// Trailer fields; null when there are none.
  virtual Headers* trailers() { return nullptr; }
};

/// Null stands for "no body".
using BodyPtr = std::unique_ptr<Body>;

/// Another body, read through: what does not override a function passes it on. Whoever changes the
/// bytes overrides Read(), Length() if their number changes, and Ready() if Read() may wait
/// although the other one would not. Derived members die before the other body does.
class WrappedBody : public Body {
 public:
  /// `inner` is not null.
  explicit WrappedBody(BodyPtr inner) : inner_(std::move(inner)) {}

  Task<absl::StatusOr<Chunk>> Read() override { return inner_->Read(); }
  bool Ready() const override { return inner_->Ready(); }
  std::optional<uint64_t> Length() const override { return inner_->Length(); }
  Headers* trailers() override { return inner_->trailers(); }

 protected:
  Body& inner() { return *inner_; }
  const Body& inner() const { return *inner_; }

 private:
  const BodyPtr inner_;
};

/// A body that is all there.
BodyPtr TextBody(std::string text);
/// The same for bytes that outlive every request.
BodyPtr StaticBody(std::string_view text);

/// Reads `body` to its end; kRequestTooLarge when it is longer than `limit` bytes. A null body is
/// empty.
Task<absl::StatusOr<std::string>> ReadAll(Body* body, size_t limit);

}  // namespace sluice
