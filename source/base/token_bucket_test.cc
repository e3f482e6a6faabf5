// Token buckets at given times, and under many threads.
#include "source/base/token_bucket.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart = TimePoint() + hours(24 * 365);

TEST_CASE("a bucket begins full, empties, and fills as time goes by", "[token_bucket]") {
  struct Row {
    Duration at;
    double tokens;
    bool taken;
    uint64_t remaining, next;
  };
  // Three tokens at most, one every ten seconds.
  const Row rows[] = {
      {seconds(0), 1, true, 2, 0},        {seconds(0), 1, true, 1, 0},
      {seconds(0), 2, false, 1, 0},       {seconds(0), 1, true, 0, 10},
      {seconds(0), 1, false, 0, 10},      {milliseconds(9500), 1, false, 0, 1},
      {seconds(10), 1, true, 0, 10},      {seconds(15), 1, false, 0, 5},
      {seconds(1000), 0, true, 3, 0},     {seconds(1000), 3, true, 0, 10},
      {seconds(1000), 1, false, 0, 10},   {hours(24 * 3650), 4, false, 3, 0},
      {hours(24 * 3650), 3, true, 0, 10},
  };
  TokenBucket bucket(TokenRate::Of(3, 1, seconds(10)), kStart);
  for (const Row& row : rows) {
    CAPTURE(row.at.count(), row.tokens);
    CHECK(bucket.Take(row.tokens, kStart + row.at) == row.taken);
    CHECK(bucket.Remaining(kStart + row.at) == row.remaining);
    CHECK(bucket.SecondsToNext(kStart + row.at) == row.next);
  }
}

TEST_CASE("rates that are no whole number give neither more nor less", "[token_bucket]") {
  TokenBucket bucket(TokenRate::Of(1, 3, seconds(1)), kStart);
  int taken = 0;
  for (int ms = 0; ms <= 100'000; ++ms) taken += bucket.Take(1, kStart + milliseconds(ms));
  // The first one, and one every 334 ms: it is asked once a millisecond.
  CHECK(taken >= 299);
  CHECK(taken <= 301);
}

TEST_CASE("what rounding makes of an interval is not another second", "[token_bucket]") {
  TokenBucket bucket(TokenRate::Of(1, 1, seconds(60)), kStart);
  for (int ms : {1, 70'003, 140'007, 1'000'000'009}) {
    const TimePoint at = kStart + milliseconds(ms);
    REQUIRE(bucket.Take(1, at));
    CHECK(bucket.SecondsToNext(at) == 60);
  }
}

TEST_CASE("a clock that another thread read earlier gives nothing back", "[token_bucket]") {
  TokenBucket bucket(TokenRate::Of(1, 1, seconds(1)), kStart);
  CHECK(bucket.Take(1, kStart + seconds(1)));
  CHECK_FALSE(bucket.Take(1, kStart));
  CHECK_FALSE(bucket.Take(1, kStart + seconds(1)));
  CHECK(bucket.Take(1, kStart + seconds(2)));
}

TEST_CASE("threads share exactly what there is", "[token_bucket]") {
  constexpr int kThreads = 8;
  constexpr int kTokens = 100'000;
  TokenBucket bucket(TokenRate::Of(kTokens, 1, hours(1)), kStart);
  std::vector<int> taken(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&bucket, &mine = taken[i]] {
      int count = 0;
      for (int n = 0; n < kTokens / 4; ++n) count += bucket.Take(1, kStart);
      mine = count;
    });
  }
  for (std::thread& thread : threads) thread.join();
  int sum = 0;
  for (int count : taken) sum += count;
  CHECK(sum == kTokens);
  CHECK(bucket.Remaining(kStart) == 0);
}

}  // namespace
}  // namespace sluice
