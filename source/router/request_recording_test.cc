// Recording a request's body and playing it again.
#include "source/router/request_recording.h"

#include <functional>
#include <vector>

#include <catch2/catch.hpp>

#include "source/async/worker.h"
#include "source/base/reason.h"

namespace sluice {
namespace {

// Gives `parts` one by one; an empty part is an error. Waits for `gate` before each part, if there
// is one.
class PartsBody final : public Body {
 public:
  PartsBody(std::vector<std::string> parts, std::optional<uint64_t> length, Event* gate = nullptr)
      : parts_(std::move(parts)), length_(length), gate_(gate) {}
  Task<absl::StatusOr<Chunk>> Read() override {
    if (gate_ != nullptr) co_await gate_->Wait();
    if (next_ == parts_.size()) co_return Chunk();
    const std::string& part = parts_[next_++];
    if (part.empty()) co_return MakeError(Reason::kDownstreamClosed);
    co_return Chunk::Copy(part);
  }
  std::optional<uint64_t> Length() const override { return length_; }

 private:
  const std::vector<std::string> parts_;
  const std::optional<uint64_t> length_;
  Event* const gate_;
  size_t next_ = 0;
};

std::shared_ptr<RequestRecording> Record(std::vector<std::string> parts, size_t limit,
                                         std::optional<uint64_t> length = std::nullopt,
                                         Event* gate = nullptr) {
  return std::make_shared<RequestRecording>(
      std::make_unique<PartsBody>(std::move(parts), length, gate), limit);
}

Task<> Then(Task<> task, Worker& worker) {
  co_await std::move(task);
  worker.Stop();
}

void Run(Task<> (*test)(Worker&)) {
  Worker worker(0, 1);
  worker.scope().Spawn(Then(test(worker), worker));
  worker.Run();
}

Task<std::string> All(Body& body) {
  auto text = co_await ReadAll(&body, 1000);
  co_return text.ok() ? *text : "error";
}

TEST_CASE("a body is played as often as need be", "[recording]") {
  Run([](Worker&) -> Task<> {
    auto recording = Record({"ab", "cd", "e"}, 5, 5);
    for (int i = 0; i < 3; ++i) {
      const BodyPtr body = recording->Play();
      CHECK(body->Length() == 5u);
      CHECK(co_await All(*body) == "abcde");
      CHECK(body->Length() == 0u);
      CHECK(recording->CanPlay());
    }
  });
}

TEST_CASE("half a body is played, then the rest of the source", "[recording]") {
  Run([](Worker&) -> Task<> {
    auto recording = Record({"ab", "cd", "e"}, 100);
    const BodyPtr first = recording->Play();
    CHECK((co_await first->Read())->data == "ab");
    CHECK(recording->CanPlay());
    const BodyPtr second = recording->Play();
    CHECK(second->Ready());
    CHECK(co_await All(*second) == "abcde");
    CHECK(ReasonOf((co_await first->Read()).status()) == Reason::kCancelled);
  });
}

TEST_CASE("what is longer than the limit is passed on and not kept", "[recording]") {
  Run([](Worker&) -> Task<> {
    auto recording = Record({"ab", "cd", "e"}, 4);
    const BodyPtr body = recording->Play();
    CHECK(co_await All(*body) == "abcde");
    CHECK_FALSE(recording->CanPlay());
  });
}

TEST_CASE("a body that failed is not played again", "[recording]") {
  Run([](Worker&) -> Task<> {
    auto recording = Record({"ab", ""}, 100);
    const BodyPtr body = recording->Play();
    CHECK(co_await All(*body) == "error");
    CHECK_FALSE(recording->CanPlay());
  });
}

Task<> ReadOnce(BodyPtr body, Reason* outcome) {
  *outcome = ReasonOf((co_await body->Read()).status());
}

Task<> ReadAllOf(BodyPtr body, std::string* text) {
  *text = co_await All(*body);
}

// Two players in turn wait for the first of `parts`, then a third one; what this one gives.
Task<std::string> PlayWhileOthersWait(std::vector<std::string> parts, size_t limit) {
  Event gate;
  auto recording = Record(std::move(parts), limit, std::nullopt, &gate);
  Scope scope;
  Reason first = Reason::kUnknown, second = Reason::kUnknown;
  std::string third;
  scope.Spawn(ReadOnce(recording->Play(), &first));
  CHECK(recording->CanPlay());
  scope.Spawn(ReadOnce(recording->Play(), &second));
  scope.Spawn(ReadAllOf(recording->Play(), &third));
  CHECK(third.empty());
  gate.Set();
  co_await scope.Join();
  CHECK(first == Reason::kCancelled);
  CHECK(second == Reason::kCancelled);
  co_return third;
}

TEST_CASE("what an earlier player waits for goes to the one that is played now", "[recording]") {
  Run([](Worker&) -> Task<> {
    CHECK(co_await PlayWhileOthersWait({"ab", "cd"}, 100) == "abcd");
    CHECK(co_await PlayWhileOthersWait({"abc", "d"}, 2) == "abcd");
    CHECK(co_await PlayWhileOthersWait({""}, 100) == "error");
    CHECK(co_await PlayWhileOthersWait({}, 100) == "");
  });
}

}  // namespace
}  // namespace sluice
