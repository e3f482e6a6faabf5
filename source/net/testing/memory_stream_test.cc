// Memory streams: the behaviour of TCP that those who use them rely on. One worker, run on the
// test's thread.
#include "source/net/testing/memory_stream.h"

#include <catch2/catch.hpp>

#include "source/base/reason.h"

namespace sluice {
namespace {

// Runs `body` on a worker to its end.
void Run(Task<> (*body)(Worker&)) {
  Worker worker(0, 1);
  struct Frame {
    static Task<> Go(Worker& worker, Task<> (*body)(Worker&)) {
      co_await body(worker);
      worker.Stop();
    }
  };
  worker.Post([&] { worker.scope().Spawn(Frame::Go(worker, body)); });
  worker.Run();
}

Task<std::string> ReadToEnd(Stream& stream, std::vector<size_t>* sizes) {
  std::string all;
  char buffer[64];
  while (true) {
    auto count = co_await stream.ReadSome(absl::MakeSpan(buffer));
    if (!count.ok()) {
      all += "!" + std::to_string(static_cast<int>(ReasonOf(count.status())));
      co_return all;
    }
    if (*count == 0) co_return all;
    if (sizes != nullptr) sizes->push_back(*count);
    all.append(buffer, *count);
  }
}

Task<> WriteText(Stream& stream, std::string text, absl::Status* result) {
  const std::string_view parts[] = {text};
  *result = co_await stream.Write(parts);
}

TEST_CASE("memory stream: chunking cuts reads") {
  Run([](Worker& worker) -> Task<> {
    for (const Chunking chunking : {Chunking::kAll, Chunking::kOne, Chunking::kRandom}) {
      auto [a, b] = MemoryPair({.chunking = chunking});
      const std::string_view parts[] = {"hello ", "world, this is more than sixteen"};
      CHECK((co_await a->Write(parts)).ok());
      a->ShutdownWrite();
      std::vector<size_t> sizes;
      CHECK(co_await ReadToEnd(*b, &sizes) == "hello world, this is more than sixteen");
      if (chunking == Chunking::kAll) CHECK(sizes.size() == 1);
      if (chunking == Chunking::kOne) CHECK(sizes.size() == 38);
      if (chunking == Chunking::kRandom) CHECK((sizes.size() > 2 && sizes.size() < 38));
      // The other direction is still open.
      const std::string_view answer[] = {"ok"};
      CHECK((co_await b->Write(answer)).ok());
      b->Close();
      CHECK(co_await ReadToEnd(*a, nullptr) == "ok");
    }
  });
}

TEST_CASE("memory stream: a full buffer makes the writer wait") {
  Run([](Worker& worker) -> Task<> {
    auto [a, b] = MemoryPair({.capacity = 4});
    absl::Status result = absl::UnknownError("still writing");
    worker.scope().Spawn(WriteText(*a, "0123456789", &result));
    const std::string_view more[] = {"x"};
    CHECK(*a->TryWrite(more) == 0);
    CHECK(!result.ok());
    char buffer[64];
    std::string all;
    while (all.size() < 10) {
      auto count = co_await b->ReadSome(absl::MakeSpan(buffer));
      CHECK((count.ok() && *count <= 4));
      all.append(buffer, *count);
    }
    CHECK(all == "0123456789");
    CHECK(result.ok());
    CHECK(!b->TryRead(absl::MakeSpan(buffer))->has_value());
  });
}

TEST_CASE("memory stream: reset, close with unread bytes, write to a closed end") {
  Run([](Worker& worker) -> Task<> {
    const std::string reset = "!" + std::to_string(static_cast<int>(Reason::kConnectionTerminated));
    const std::string_view text[] = {"text"};
    {
      auto [a, b] = MemoryPair({});
      CHECK((co_await a->Write(text)).ok());
      a->Close(true);
      CHECK(co_await ReadToEnd(*b, nullptr) == "text" + reset);
      CHECK(ReasonOf(co_await b->Write(text)) == Reason::kConnectionTerminated);
      CHECK(ReasonOf(co_await a->Write(text)) == Reason::kCancelled);
    }
    auto [a, b] = MemoryPair({});
    CHECK((co_await a->Write(text)).ok());
    b->Close();
    CHECK(co_await ReadToEnd(*a, nullptr) == reset);
  });
}

Task<> Expect(Stream& stream, std::optional<bool>* readable) {
  *readable = co_await stream.WaitReadable();
}

TEST_CASE("memory stream: cancelling and closing end a wait") {
  Run([](Worker& worker) -> Task<> {
    auto [a, b] = MemoryPair({});
    std::optional<bool> readable;
    Canceller canceller;
    Scope scope;
    scope.Spawn(Expect(*a, &readable), canceller);
    canceller.Cancel(Reason::kUnknown);
    co_await scope.Join();
    CHECK(readable == false);
    readable.reset();
    scope.Spawn(Expect(*b, &readable));
    b->Close();
    co_await scope.Join();
    CHECK(readable == false);
    CHECK(co_await a->WaitReadable());
  });
}

TEST_CASE("memory network: addresses") {
  Run([](Worker& worker) -> Task<> {
    MemoryNetwork network({});
    const Address known = Address::Ipv4(0x7f000001, 80);
    StreamPtr far;
    network.Listen(known, [&far](StreamPtr stream) { far = std::move(stream); });
    auto near = co_await network.Dial(known, {});
    CHECK(near.ok());
    CHECK((*near)->remote_address() == known);
    CHECK(far->local_address() == known);
    auto refused = co_await network.Dial(Address::Ipv4(0x7f000001, 81), {});
    CHECK(ReasonOf(refused.status()) == Reason::kConnectRefused);
  });
}

}  // namespace
}  // namespace sluice
