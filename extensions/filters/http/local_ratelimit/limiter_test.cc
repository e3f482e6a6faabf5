// Which buckets descriptors use, at given times, and open descriptors under several threads.
#include "extensions/filters/http/local_ratelimit/limiter.h"

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>
#include <thread>

namespace sluice {
namespace {

using Proto = envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
using std::chrono::seconds;

const TimePoint kStart = TimePoint() + std::chrono::hours(1000);

LimiterSettings Settings(const std::string& text) {
  Proto config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
  config::Diagnostics diagnostics;
  LimiterSettings settings = LimiterSettings::Build(config, "f", diagnostics);
  REQUIRE(diagnostics.ok());
  return settings;
}

std::string Bucket(int tokens, int interval = 100) {
  return Cat("token_bucket { max_tokens: ", tokens, " tokens_per_fill { value: ", tokens,
             " } fill_interval { seconds: ", interval, " } } ");
}

RateLimitDescriptors Of(std::vector<RateLimitDescriptor::Entry> entries, uint64_t hits = 1) {
  RateLimitDescriptors out(1);
  out[0].entries.assign(entries.begin(), entries.end());
  out[0].hits = hits;
  return out;
}

int Allowed(Limiter& limiter, const RateLimitDescriptors& descriptors, int tries,
            size_t worker = 0) {
  int allowed = 0;
  for (int i = 0; i < tries; ++i)
    allowed += limiter.Ask(descriptors, worker, kStart, false).allowed;
  return allowed;
}

TEST_CASE("the default bucket is for everybody", "[limiter]") {
  const LimiterSettings settings = Settings(Bucket(3));
  Limiter limiter(settings, 1, kStart);
  CHECK(Allowed(limiter, Of({{"a", "1"}}), 2) == 2);
  CHECK(Allowed(limiter, {}, 5) == 1);
  const auto verdict = limiter.Ask({}, 0, kStart + seconds(1), true);
  CHECK_FALSE(verdict.allowed);
  CHECK(verdict.limit == 3);
  CHECK(verdict.remaining == 0);
  CHECK(verdict.seconds_to_next == 33);
}

TEST_CASE("a descriptor has its own bucket beside the default one", "[limiter]") {
  const std::string descriptor =
      Cat("descriptors { entries { key: 'a' value: '1' } entries { key: 'b' value: '2' } ",
          Bucket(2, 1000), "} ");
  const LimiterSettings both = Settings(Bucket(5) + descriptor);
  Limiter limiter(both, 1, kStart);
  CHECK(Allowed(limiter, Of({{"a", "1"}, {"b", "2"}}), 9) == 2);
  // Order and number of entries count.
  CHECK(Allowed(limiter, Of({{"b", "2"}, {"a", "1"}}), 1) == 1);
  CHECK(Allowed(limiter, Of({{"a", "1"}}), 9) == 2);

  const LimiterSettings own =
      Settings(Cat(Bucket(1), descriptor, "always_consume_default_token_bucket { value: false }"));
  Limiter either(own, 1, kStart);
  CHECK(Allowed(either, Of({{"a", "1"}, {"b", "2"}}), 9) == 2);
  CHECK(Allowed(either, {}, 9) == 1);
}

TEST_CASE("hits are what one request costs", "[limiter]") {
  const LimiterSettings settings =
      Settings(Cat("descriptors { entries { key: 'a' value: '1' } ", Bucket(10), "}"));
  Limiter limiter(settings, 1, kStart);
  CHECK(Allowed(limiter, Of({{"a", "1"}}, 4), 9) == 2);
  CHECK(Allowed(limiter, Of({{"a", "1"}}, 0), 9) == 9);
  CHECK(Allowed(limiter, Of({{"a", "1"}}), 9) == 2);
  CHECK(Allowed(limiter, Of({{"a", "2"}}), 9) == 9);
}

TEST_CASE("a shadow descriptor refuses nothing and says so", "[limiter]") {
  const LimiterSettings settings = Settings(
      Cat("descriptors { shadow_mode: true entries { key: 'a' value: '1' } ", Bucket(1), "}"));
  Limiter limiter(settings, 1, kStart);
  CHECK_FALSE(limiter.Ask(Of({{"a", "1"}}), 0, kStart, false).shadowed);
  const auto verdict = limiter.Ask(Of({{"a", "1"}}), 0, kStart, false);
  CHECK(verdict.shadowed);
  CHECK(verdict.allowed);
}

TEST_CASE("an open entry gives each value a bucket, and the number of them is bounded",
          "[limiter]") {
  const LimiterSettings settings =
      Settings(Cat("max_dynamic_descriptors { value: 2 } descriptors { entries { key: 'ip' } "
                   "entries { key: 'k' value: 'v' } ",
                   Bucket(2), "}"));
  Limiter limiter(settings, 2, kStart);
  const auto from = [](std::string_view ip) { return Of({{"ip", ip}, {"k", "v"}}); };
  CHECK(Allowed(limiter, from("1.1.1.1"), 9) == 2);
  CHECK(Allowed(limiter, from("2.2.2.2"), 1, 0) == 1);
  CHECK(Allowed(limiter, from("2.2.2.2"), 9, 1) == 1);  // another worker, the same bucket
  CHECK(Allowed(limiter, Of({{"ip", "1.1.1.1"}, {"k", "w"}}), 9) == 9);
  // A third value makes room for itself, and what went begins anew.
  CHECK(Allowed(limiter, from("3.3.3.3"), 9) == 2);
  CHECK(Allowed(limiter, from("1.1.1.1"), 9) == 2);
}

TEST_CASE("workers share open buckets without losing or inventing tokens", "[limiter]") {
  constexpr int kThreads = 4;
  const LimiterSettings settings =
      Settings(Cat("max_dynamic_descriptors { value: 50 } descriptors { entries { key: 'k' } ",
                   Bucket(100, 100000), "}"));
  Limiter limiter(settings, kThreads, kStart);
  std::vector<int> allowed(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50 * 40; ++i) {
        const std::string value = Cat("v", (i * 7 + t) % 50);
        allowed[t] += limiter.Ask(Of({{"k", value}}), t, kStart, false).allowed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(allowed[0] + allowed[1] + allowed[2] + allowed[3] == 50 * 100);
}

TEST_CASE("mistakes of buckets are reported where they are", "[limiter]") {
  Proto config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(
      "token_bucket { max_tokens: 1 fill_interval { nanos: 1000000 } } "
      "descriptors { entries { key: 'a' value: '1' } token_bucket { max_tokens: 1 fill_interval { "
      "seconds: 1 } } } "
      "descriptors { entries { key: 'a' value: '1' } token_bucket { max_tokens: 1 fill_interval { "
      "seconds: 1 } } }",
      &config));
  config::Diagnostics diagnostics;
  LimiterSettings::Build(config, "f", diagnostics);
  REQUIRE(diagnostics.errors() == 2);
  CHECK(diagnostics.problems()[0].path == "f.token_bucket.fill_interval");
  CHECK(diagnostics.problems()[1].path == "f.descriptors[1].entries");
}

}  // namespace
}  // namespace sluice
