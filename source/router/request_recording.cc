// Recording and playing a request's body. Worker thread only.
#include "source/router/request_recording.h"

#include <utility>

#include "source/base/reason.h"

namespace sluice {

class RequestRecording::Player final : public Body {
 public:
  explicit Player(std::shared_ptr<RequestRecording> recording)
      : recording_(std::move(recording)), generation_(recording_->generation_) {}

  Task<absl::StatusOr<Chunk>> Read() override {
    RequestRecording& recording = *recording_;
    while (true) {
      if (generation_ != recording.generation_) co_return MakeError(Reason::kCancelled);
      if (position_ < recording.recorded_.size()) {
        const std::string_view rest = std::string_view(recording.recorded_).substr(position_);
        position_ += rest.size();
        co_return Chunk{BufferRef(), rest};
      }
      if (recording.ended_) co_return Chunk();
      if (!recording.reading_) break;
      // An earlier player waits for the source still. What comes is ours.
      if (!co_await recording.read_.Wait()) co_return MakeError(Reason::kCancelled);
    }
    auto chunk = std::exchange(recording.late_, std::nullopt);
    if (!chunk.has_value()) {
      recording.reading_ = true;
      recording.read_.Clear();
      chunk = co_await recording.source_->Read();
      recording.reading_ = false;
      recording.read_.Set();
      if (generation_ != recording.generation_) {
        recording.late_ = std::move(chunk);
        co_return MakeError(Reason::kCancelled);
      }
    }
    if (!chunk->ok()) {
      recording.failed_ = true;
      co_return *std::move(chunk);
    }
    position_ += (*chunk)->data.size();
    recording.ended_ = (*chunk)->empty();
    recording.Record((*chunk)->data);
    co_return *std::move(chunk);
  }

  bool Ready() const override {
    const RequestRecording& recording = *recording_;
    return position_ < recording.recorded_.size() || recording.ended_ ||
           recording.late_.has_value() || (!recording.reading_ && recording.source_->Ready());
  }
  std::optional<uint64_t> Length() const override {
    if (!recording_->length_.has_value()) return std::nullopt;
    return *recording_->length_ - std::min<uint64_t>(position_, *recording_->length_);
  }
  Headers* trailers() override { return recording_->source_->trailers(); }

 private:
  const std::shared_ptr<RequestRecording> recording_;
  const int generation_;
  size_t position_ = 0;
};

void RequestRecording::Record(std::string_view data) {
  if (too_long_) return;
  if (recorded_.size() + data.size() <= limit_) {
    recorded_.append(data);
    return;
  }
  too_long_ = true;
  abandoned_.Add();
  recorded_ = std::string();  // Nobody can ask for it any more.
}

BodyPtr RequestRecording::Play() {
  ++generation_;
  return std::make_unique<Player>(shared_from_this());
}

}  // namespace sluice
