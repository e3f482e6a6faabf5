// Tests of the metrics: sums over threads, reuse of slots, bins and quantiles of histograms.
#include "source/base/metric.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <thread>

namespace sluice {
namespace {

TEST_CASE("a default handle can be used and reads as nothing") {
  Counter counter;
  Gauge gauge;
  Histogram histogram;
  counter.Add();
  gauge.Add();
  gauge.Sub(5);
  gauge.Set(7);
  histogram.Record(1);
  Reset(counter);
  Free(counter);
  Free(gauge);
  Free(histogram);
  CHECK(Read(counter) == 0);
  CHECK(Read(gauge) == 0);
  CHECK_FALSE(IsUsed(gauge));
  CHECK(Read(histogram).count == 0);
}

TEST_CASE("sums survive their threads, and threads count at once") {
  const Counter counter = NewCounter();
  const Gauge gauge = NewGauge();
  const Histogram histogram = NewHistogram();
  constexpr int kThreads = 4;
  constexpr int kRounds = 20000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([=] {
      for (int round = 0; round < kRounds; ++round) {
        counter.Add();
        gauge.Add(3);
        gauge.Sub(2);
        histogram.Record(static_cast<uint64_t>(round % 1000));
      }
    });
  }
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {  // readers and new metrics meanwhile
    const uint64_t now = Read(counter);
    CHECK(now >= last);
    last = now;
    Read(histogram);
    const Counter other = NewCounter();
    Free(other);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(Read(counter) == kThreads * kRounds);
  CHECK(Read(gauge) == kThreads * kRounds);
  CHECK(Read(histogram).count == kThreads * kRounds);
  CHECK(Read(histogram).sum == uint64_t{kThreads} * kRounds / 1000 * (999 * 1000 / 2));
  Free(counter);
  Free(gauge);
  Free(histogram);
}

TEST_CASE("a gauge falls on another thread, is set, and remembers that it was used") {
  const Gauge gauge = NewGauge();
  CHECK_FALSE(IsUsed(gauge));
  gauge.Add(2);
  std::thread([=] { gauge.Sub(2); }).join();
  CHECK(Read(gauge) == 0);
  CHECK(IsUsed(gauge));
  for (const int64_t value :
       {int64_t{5}, int64_t{-3}, int64_t{0}, INT64_MAX, INT64_MIN, int64_t{12}}) {
    gauge.Set(value);
    CHECK(Read(gauge) == value);
  }
  std::thread([=] { gauge.Set(1); }).join();
  CHECK(Read(gauge) == 1);

  const Gauge zero = NewGauge();
  zero.Set(0);
  CHECK(IsUsed(zero));
  CHECK(Read(zero) == 0);
}

TEST_CASE("freed slots start again from nothing") {
  const Counter counter = NewCounter();
  const Gauge gauge = NewGauge();
  const Histogram histogram = NewHistogram();
  counter.Add(10);
  std::thread([=] { gauge.Add(10); }).join();
  histogram.Record(10);
  histogram.Record(5000);
  Free(counter);
  Free(gauge);
  Free(histogram);
  bool seen[3] = {};
  for (int i = 0; i < 100 && !(seen[0] && seen[1] && seen[2]); ++i) {
    const Counter new_counter = NewCounter();
    const Gauge new_gauge = NewGauge();
    const Histogram new_histogram = NewHistogram();
    CHECK(Read(new_counter) == 0);
    CHECK(Read(new_gauge) == 0);
    CHECK_FALSE(IsUsed(new_gauge));
    CHECK(Read(new_histogram).count == 0);
    seen[0] |= new_counter.index == counter.index;
    seen[1] |= new_gauge.index == gauge.index;
    seen[2] |= new_histogram.index == histogram.index;
    if (new_histogram.index == histogram.index) {
      new_histogram.Record(10);
      const HistogramSnapshot snapshot = Read(new_histogram);
      CHECK(snapshot.count == 1);
      CHECK(snapshot.sum == 10);
      CHECK(snapshot.bins.size() == 1);
    }
  }
  CHECK(seen[0]);
  CHECK(seen[1]);
  CHECK(seen[2]);
}

TEST_CASE("a reset counter counts from zero") {
  const Counter counter = NewCounter();
  counter.Add(5);
  Reset(counter);
  CHECK(Read(counter) == 0);
  counter.Add(2);
  CHECK(Read(counter) == 2);
}

TEST_CASE("more metrics than a chunk, used by a thread that came before and one that came after") {
  std::vector<Counter> counters;
  std::thread early([] { NewCounter().Add(); });
  for (uint32_t i = 0; i < 3 * metric_internal::kChunkSize; ++i) {
    counters.push_back(NewCounter());
  }
  early.join();
  std::thread([&] {
    for (const Counter& counter : counters) counter.Add(2);
  }).join();
  for (const Counter& counter : counters) {
    counter.Add(1);
    REQUIRE(Read(counter) == 3);
    Free(counter);
  }
}

TEST_CASE("every value lies in its bin, and bins are narrow") {
  const Histogram histogram = NewHistogram();
  HistogramSnapshot before;
  std::vector<uint64_t> values = {0,   1,   2,   9,   10,   11,   99,   100,
                                  101, 110, 111, 999, 1000, 1001, 1100, 1101};
  for (uint64_t value = 1200; value < UINT64_MAX / 7; value = value * 7 + 13) {
    values.push_back(value);
  }
  values.push_back(9999999999999999999u);
  values.push_back(10000000000000000000u);
  values.push_back(10000000000000000001u);
  values.push_back(UINT64_MAX);
  for (const uint64_t value : values) {
    INFO(value);
    histogram.Record(value);
    const HistogramSnapshot now = Read(histogram);
    const HistogramSnapshot delta = now.Since(before);
    REQUIRE(delta.bins.size() == 1);
    REQUIRE(delta.count == 1);
    const HistogramSnapshot::Bin& bin = delta.bins[0];
    CHECK(delta.sum == value);
    CHECK((value == 0 ? bin.upper == 0 : bin.lower < value));
    CHECK(value <= bin.upper);
    CHECK((value <= 100 ? bin.upper == value
                        : static_cast<double>(bin.upper - bin.lower) <= 0.1 * value));
    before = now;
  }
}

TEST_CASE("Envoy's buckets are exact") {
  const double kBounds[] = {0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
                            2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};
  for (const double bound : kBounds) {
    INFO(bound);
    const Histogram histogram = NewHistogram();
    histogram.Record(static_cast<uint64_t>(std::floor(bound)));
    histogram.Record(static_cast<uint64_t>(std::floor(bound)) + 1);
    CHECK(Read(histogram).CountAtMost(bound) == 1);
    CHECK(Read(histogram).CountAtMost(bound * 3 + 3) == 2);
    Free(histogram);
  }
}

TEST_CASE("quantiles are within five percent") {
  const Histogram histogram = NewHistogram();
  CHECK(std::isnan(Read(histogram).Quantile(0.5)));
  for (uint64_t value = 1; value <= 20000; ++value) {
    histogram.Record(value);
  }
  const HistogramSnapshot snapshot = Read(histogram);
  for (const double fraction : {0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0}) {
    INFO(fraction);
    CHECK(snapshot.Quantile(fraction) == Approx(fraction * 20000).epsilon(0.05));
  }
  const Histogram one = NewHistogram();
  one.Record(7);
  CHECK(Read(one).Quantile(0) == 7);
  CHECK(Read(one).Quantile(0.5) == 7);
  CHECK(Read(one).Quantile(1) == 7);
}

}  // namespace
}  // namespace sluice
