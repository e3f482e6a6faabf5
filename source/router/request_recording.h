// RequestRecording: the body of a request that may have to be sent again, kept as far as a limit
// allows. Belongs to one worker.
#pragma once

#include <memory>
#include <string>

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
  /// A body that was played before gives kCancelled from now on.
  BodyPtr Play();

  /// True when all of it is recorded.
  bool IsComplete() const {
    return CanPlay() && (ended_ || (length_.has_value() && recorded_.size() == *length_));
  }

  /// Whether the limit was passed.
  bool is_too_long() const { return too_long_; }
  /// False when the limit was passed, the source has failed, or an earlier player still waits for
  /// the source.
  bool CanPlay() const { return !too_long_ && !failed_ && !reading_; }

 private:
  class Player;
  void Record(std::string_view data);

  const BodyPtr source_;
  const size_t limit_;
  const std::optional<uint64_t> length_;
  const Counter abandoned_;
  std::string recorded_;
  int generation_ = 0;
  bool too_long_ = false;
  bool failed_ = false;
  bool reading_ = false;
  bool ended_ = false;
};

}  // namespace sluice
