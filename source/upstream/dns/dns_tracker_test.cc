// DnsTracker over a scripted resolver, on a main worker of the test's own.
#include "source/upstream/dns/dns_tracker.h"

#include <condition_variable>
#include <mutex>

#include <catch2/catch.hpp>

#include "source/upstream/testing/scripted_resolver.h"

namespace sluice {
namespace {

using testing::ScriptedResolver;

// What the callback has seen, for a waiting test thread.
class Seen {
 public:
  void Add(const DnsAnswer& answer) {
    std::lock_guard lock(mutex_);
    answers_.push_back(answer);
    changed_.notify_all();
  }
  bool WaitFor(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return answers_.size() >= count; });
  }
  DnsAnswer At(size_t i) {
    std::lock_guard lock(mutex_);
    return answers_.at(i);
  }
  size_t size() {
    std::lock_guard lock(mutex_);
    return answers_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<DnsAnswer> answers_;
};

struct Fixture {
  ScriptedResolver resolver;
  Seen seen;
  Worker main{Worker::kMain, 1};
  std::unique_ptr<DnsTracker> tracker;

  void Start(DnsTrackerOptions options) {
    tracker = std::make_unique<DnsTracker>(std::move(options), resolver, main,
                                           [this](const DnsAnswer& answer) { seen.Add(answer); });
    main.Start();
    main.Post([this] { tracker->Start(); });
  }
  ~Fixture() {
    main.Post([this] { tracker = nullptr; });
    main.Stop();
    main.Join();
  }
};

DnsTrackerOptions Fast(std::string name) {
  DnsTrackerOptions options;
  options.name = std::move(name);
  options.refresh_rate = std::chrono::milliseconds(10);
  return options;
}

TEST_CASE("every answer is handed on, failures too") {
  Fixture f;
  f.resolver.Set("a.t", {"192.0.2.1"});
  f.Start(Fast("a.t"));
  REQUIRE(f.seen.WaitFor(2));
  CHECK(f.seen.At(0).addresses.at(0).address.IpString() == "192.0.2.1");
  f.resolver.Fail("a.t");
  const size_t before = f.seen.size();
  REQUIRE(f.seen.WaitFor(before + 2));
  CHECK(f.seen.At(f.seen.size() - 1).outcome == DnsAnswer::Outcome::kFailed);
}

TEST_CASE("the TTL is the rate where it is respected") {
  Fixture f;
  f.resolver.Set("a.t", {"192.0.2.1"}, std::chrono::seconds(3600));
  DnsTrackerOptions options = Fast("a.t");
  options.respect_ttl = true;
  f.Start(options);
  REQUIRE(f.seen.WaitFor(1));
  // A second tracker of the same rate without respect is asked many times meanwhile.
  Fixture other;
  other.resolver.Set("a.t", {"192.0.2.1"}, std::chrono::seconds(3600));
  other.Start(Fast("a.t"));
  REQUIRE(other.seen.WaitFor(4));
  CHECK(f.resolver.asked("a.t") == 1);
}

TEST_CASE("failures are tried again at their own rate") {
  Fixture f;
  f.resolver.Fail("a.t");
  DnsTrackerOptions options;
  options.name = "a.t";
  options.refresh_rate = std::chrono::hours(1);
  options.failure_refresh = {std::chrono::milliseconds(5), std::chrono::milliseconds(10)};
  f.Start(options);
  REQUIRE(f.seen.WaitFor(3));
}

TEST_CASE("an empty answer is tried again as a failure where it is one") {
  Fixture f;
  f.resolver.Set("a.t", std::vector<std::string>());
  DnsTrackerOptions options;
  options.name = "a.t";
  options.refresh_rate = std::chrono::hours(1);
  options.failure_refresh = {std::chrono::milliseconds(5), std::chrono::milliseconds(10)};
  options.empty_is_failure = true;
  f.Start(options);
  REQUIRE(f.seen.WaitFor(3));
}

TEST_CASE("a tracker that goes while a look-up runs is not called") {
  Fixture f;
  f.resolver.Set("a.t", {"192.0.2.1"});
  f.resolver.Hold("a.t");
  f.Start(Fast("a.t"));
  f.main.Post([&f] {
    f.tracker = nullptr;
    f.resolver.Release(f.main, "a.t");
  });
  f.main.Stop();
  f.main.Join();
  CHECK(f.resolver.asked("a.t") == 1);
  CHECK(f.seen.size() == 0);
}

TEST_CASE("an address is looked up once") {
  Fixture f;
  f.Start(Fast("127.0.0.1"));
  REQUIRE(f.seen.WaitFor(1));
  Fixture other;
  other.resolver.Set("a.t", {"192.0.2.1"});
  other.Start(Fast("a.t"));
  REQUIRE(other.seen.WaitFor(4));
  CHECK(f.seen.size() == 1);
}

TEST_CASE("back-off doubles within its bounds") {
  Rng rng(1);
  Backoff backoff;
  const BackoffOptions options{std::chrono::milliseconds(100), std::chrono::milliseconds(350)};
  const int64_t whole[] = {100, 200, 350, 350};
  for (const int64_t limit : whole) {
    const int64_t ms = Milliseconds(backoff.Next(options, rng));
    CHECK(ms >= limit / 2 - 1);
    CHECK(ms <= limit);
  }
  backoff.Reset();
  CHECK(Milliseconds(backoff.Next(options, rng)) <= 100);
  Backoff unlimited;
  Duration last{};
  for (int i = 0; i < 20; ++i) last = unlimited.Next({std::chrono::milliseconds(100), {}}, rng);
  CHECK(Milliseconds(last) >= 500);
  CHECK(Milliseconds(last) <= 1000);
}

}  // namespace
}  // namespace sluice
