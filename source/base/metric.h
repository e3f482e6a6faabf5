// Counters, gauges and histograms that are written without a shared cache line and summed when
// somebody reads. Any thread writes (each into slots of its own); creating, reading and freeing
// take one process-wide mutex.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

namespace metric_internal {

constexpr uint32_t kChunkBits = 10;
constexpr uint32_t kChunkSize = 1u << kChunkBits;
constexpr uint32_t kMaxChunks = 4096;

// Bins of one histogram on one thread, see metric.cc.
struct Bins;

// A table that grows by whole chunks, so that an entry never moves while its thread writes it.
template <class T>
struct ChunkedTable {
  std::atomic<std::atomic<T>*> chunks[kMaxChunks] = {};

  std::atomic<T>& At(uint32_t index) {
    return chunks[index >> kChunkBits].load(std::memory_order_acquire)[index & (kChunkSize - 1)];
  }
};

// What one thread writes. It outlives the thread (its sums count for ever) and is handed to the
// next new thread.
struct MetricSlots {
  ChunkedTable<uint64_t> values;
  ChunkedTable<Bins*> histograms;
};

extern constinit thread_local MetricSlots* thread_slots;

// First use on this thread: takes slots over from an ended thread or makes new ones.
MetricSlots* Attach();

inline MetricSlots& Slots() {
  MetricSlots* slots = thread_slots;
  return __builtin_expect(slots != nullptr, 1) ? *slots : *Attach();
}

// Only the owner writes a slot, hence a plain load, add and store: no locked instruction.
inline void AddToSlot(uint32_t index, uint64_t n) {
  std::atomic<uint64_t>& slot = Slots().values.At(index);
  slot.store(slot.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace metric_internal

// The counts of one histogram, merged over all threads.
struct HistogramSnapshot {
  // `count` values v with lower < v <= upper; {0, 0} holds the zeros.
  struct Bin {
    uint64_t lower;
    uint64_t upper;
    uint64_t count;
  };

  uint64_t count = 0;
  uint64_t sum = 0;
  std::vector<Bin> bins;  // ascending, only those that are not empty

  // The value below or at which `fraction` (0 to 1) of the values lie, within 5 % above 100 and
  // exact up to it (a rank between two values is not interpolated there). NaN if there are no
  // values.
  double Quantile(double fraction) const;

  // How many values are <= bound. Exact for whole bounds up to 100 and for those of two significant
  // decimal digits (all of Envoy's default buckets); elsewhere a bin that straddles the bound does
  // not count.
  uint64_t CountAtMost(double bound) const;

  // The counts since `earlier`, an older snapshot of the same histogram.
  HistogramSnapshot Since(const HistogramSnapshot& earlier) const;
};

// A number that only rises. A handle: copy it freely; the default one writes to a slot that nobody
// reads.
struct Counter {
  // Any thread; no lock, no allocation after the thread's first call.
  void Add(uint64_t n = 1) const { metric_internal::AddToSlot(index, n); }

  uint32_t index = 0;
};

// A number that rises and falls; what was added on one thread may be subtracted on another. A
// handle, as Counter. It has two slots, one for what was added and one for what was taken off, so
// that "never used" is told from "0 again".
struct Gauge {
  // Any thread; no lock, no allocation after the thread's first call.
  void Add(int64_t n = 1) const {
    if (n >= 0) {
      metric_internal::AddToSlot(index, static_cast<uint64_t>(n));
    } else {
      metric_internal::AddToSlot(index + 1, 0 - static_cast<uint64_t>(n));
    }
  }
  void Sub(int64_t n = 1) const { Add(-n); }

  // Makes the sum over all threads equal to `value`. Takes the mutex: for the control side, not for
  // the request path.
  void Set(int64_t value) const;

  uint32_t index = 0;
};

// The distribution of a value, in whole units of what it measures (times: milliseconds). A handle,
// as Counter.
struct Histogram {
  // Any thread; no lock. Allocates once per thread and decade of values.
  void Record(uint64_t value) const;

  uint32_t index = 0;
};

// A new metric, valid on every thread at once. With 4 million in use already: the discard handle.
// Any thread.
Counter NewCounter();
Gauge NewGauge();
Histogram NewHistogram();

// Gives the metric back; its slots go to a later New...(). No handle of it may be in use any more,
// on any thread.
void Free(Counter counter);
void Free(Gauge gauge);
void Free(Histogram histogram);

// Sums over all threads since creation or the last Reset. The discard handle reads as 0. Any
// thread.
uint64_t Read(Counter counter);
int64_t Read(Gauge gauge);
HistogramSnapshot Read(Histogram histogram);

// True if the gauge was ever changed, even if it is 0 again.
bool IsUsed(Gauge gauge);

// Starts again from 0, without disturbing the writers.
void Reset(Counter counter);

}  // namespace sluice
