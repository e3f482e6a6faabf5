// RequestRecording: the body of a request that may have to be sent again, kept as far as a limit
// allows. Belongs to one worker.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "source/async/scope.h"
#include "source/base/metric.h"
#include "source/http/body.h"

namespace sluice {

class RequestRecording : public std::enable_shared_from_this<RequestRecording> {
 public:
  /// `abandoned` counts that the limit was passed.
  RequestRecording(BodyPtr source, size_t limit, Counter abandoned = {})
      : source_(std::move(source)),
        limit_(limit),
        length_(source_->Length()),
        abandoned_(abandoned) {}

  /// The body from its first byte: what is recorded, then the source, which is recorded on the way.
  /// A body that was played before gives kCancelled from now on; what it waits for at the source
  /// goes to the new one.
  BodyPtr Play();

  /// True when all of it is recorded.
  bool IsComplete() const {
    return CanPlay() && (ended_ || (length_.has_value() && recorded_.size() == *length_));
  }

  /// Whether the limit was passed.
  bool is_too_long() const { return too_long_; }
  /// False when the limit was passed, or the source has failed.
  bool CanPlay() const { return !too_long_ && !failed_; }

 private:
  class Player;
  void Record(std::string_view data);

  const BodyPtr source_;
  const size_t limit_;
  const std::optional<uint64_t> length_;
  const Counter abandoned_;
  std::string recorded_;
  std::optional<absl::StatusOr<Chunk>> late_;  // what came for a player that was given up
  Event read_;                                 // nobody waits for the source
  int generation_ = 0;
  bool too_long_ = false;
  bool failed_ = false;
  bool reading_ = false;
  bool ended_ = false;
};

}  // namespace sluice
