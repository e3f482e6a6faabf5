// The process-wide table behind metric.h: who has slots, which are free, and from what value each
// metric counts. The table is guarded by its mutex; the slots themselves are written by their own
// thread only.
#include "source/base/metric.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <mutex>

namespace sluice {
namespace metric_internal {

constinit thread_local MetricSlots* thread_slots = nullptr;

namespace {

constexpr int kDecades = 19;  // 0..100, then (10^k, 10^(k+1)] up to 2^64
constexpr uint32_t kFirstBins = 101;
constexpr uint32_t kBinsPerDecade = 90;

constexpr std::array<uint64_t, 20> kPowersOf10 = [] {
  std::array<uint64_t, 20> powers{};
  uint64_t power = 1;
  for (uint64_t& entry : powers) {
    entry = power;
    power *= 10;
  }
  return powers;
}();

struct Place {
  int decade;
  uint32_t bin;
};

// Bins end at two significant digits and include their end: 101..110, 111..120, ..., 991..1000,
// 1001..1100.
Place PlaceOf(uint64_t value) {
  if (value <= 100) {
    return {0, static_cast<uint32_t>(value)};
  }
  const uint64_t below = value - 1;  // >= 100
  // log10 by way of log2: 1233/4096 is log10(2) from below, the comparison corrects it.
  int digits = (static_cast<int>(std::bit_width(below)) * 1233) >> 12;
  if (below >= kPowersOf10[digits]) {
    ++digits;
  }
  const int decade = digits - 2;  // 3 digits: the decade after the first
  return {decade, static_cast<uint32_t>(below / kPowersOf10[decade]) - 10};
}

HistogramSnapshot::Bin EdgesOf(int decade, uint32_t bin) {
  if (decade == 0) {
    return {bin == 0 ? 0 : bin - 1, bin, 0};
  }
  const uint64_t lower = (bin + 10) * kPowersOf10[decade];
  const uint64_t width = kPowersOf10[decade];
  const bool overflows = lower > std::numeric_limits<uint64_t>::max() - width;
  return {lower, overflows ? std::numeric_limits<uint64_t>::max() : lower + width, 0};
}

void AddOwned(std::atomic<uint64_t>& slot, uint64_t n) {
  slot.store(slot.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

struct Bins {
  std::atomic<uint64_t> sum{0};
  std::atomic<std::atomic<uint64_t>*> decades[kDecades] = {};

  void Record(uint64_t value) {
    const Place place = PlaceOf(value);
    std::atomic<uint64_t>* counts = decades[place.decade].load(std::memory_order_relaxed);
    if (counts == nullptr) {
      counts = new std::atomic<uint64_t>[place.decade == 0 ? kFirstBins : kBinsPerDecade]();
      decades[place.decade].store(counts, std::memory_order_release);
    }
    AddOwned(counts[place.bin], 1);
    AddOwned(sum, value);
  }
};

namespace {

// Everything that is shared. It is never destroyed: threads may still count while the process
// exits.
class Table {
 public:
  Table() { NewSlots(); }

  MetricSlots* Acquire() {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      MetricSlots* slots = idle_.back();
      idle_.pop_back();
      return slots;
    }
    return NewSlots();
  }

  void Release(MetricSlots* slots) {
    std::lock_guard lock(mutex_);
    idle_.push_back(slots);
  }

  uint32_t NewValue() {
    std::lock_guard lock(mutex_);
    const uint32_t index = TakeFree(&free_values_);
    return index != 0 ? StartAgain(index) : GrowValues(1);
  }

  uint32_t NewPair() {
    std::lock_guard lock(mutex_);
    const uint32_t index = TakeFree(&free_pairs_);
    if (index != 0) {
      StartAgain(index + 1);
      return StartAgain(index);
    }
    if (next_value_ % 2 != 0) {
      const uint32_t odd = GrowValues(1);  // a pair never crosses a chunk
      if (odd != 0) {
        free_values_.push_back(odd);
      }
    }
    return GrowValues(2);
  }

  uint32_t NewHistogram() {
    std::lock_guard lock(mutex_);
    const uint32_t index = TakeFree(&free_histograms_);
    if (index != 0) {
      histogram_start_[index] = {};
      histogram_start_[index] = Merge(index);
      return index;
    }
    if (next_histogram_ >= kChunkSize * kMaxChunks) {
      return 0;
    }
    Cover(next_histogram_, &MetricSlots::histograms);
    return next_histogram_++;
  }

  void FreeValue(uint32_t index) { Put(index, &free_values_); }
  void FreePair(uint32_t index) { Put(index, &free_pairs_); }
  void FreeHistogram(uint32_t index) { Put(index, &free_histograms_); }

  uint64_t ReadValue(uint32_t index) {
    std::lock_guard lock(mutex_);
    return Since(index);
  }

  int64_t ReadPair(uint32_t index) {
    std::lock_guard lock(mutex_);
    return static_cast<int64_t>(Since(index) - Since(index + 1));
  }

  bool IsPairUsed(uint32_t index) {
    std::lock_guard lock(mutex_);
    return Since(index) != 0 || Since(index + 1) != 0;
  }

  void SetPair(uint32_t index, int64_t value) {
    MetricSlots& own = Slots();  // before the mutex, which attaching takes, too
    std::lock_guard lock(mutex_);
    const uint64_t delta = static_cast<uint64_t>(value) - (Since(index) - Since(index + 1));
    const bool falls = static_cast<int64_t>(delta) < 0;
    // One more on both sides marks the gauge as used when it is set to what it is.
    AddOwned(own.values.At(index), falls ? 1 : delta + 1);
    AddOwned(own.values.At(index + 1), falls ? 1 - delta : 1);
  }

  void ResetValue(uint32_t index) {
    std::lock_guard lock(mutex_);
    StartAgain(index);
  }

  HistogramSnapshot ReadHistogram(uint32_t index) {
    std::lock_guard lock(mutex_);
    return Merge(index).Since(histogram_start_[index]);
  }

 private:
  MetricSlots* NewSlots() {
    MetricSlots* slots = new MetricSlots;
    all_.push_back(slots);
    for (uint32_t chunk = 0; chunk < value_chunks_; ++chunk) {
      slots->values.chunks[chunk].store(new std::atomic<uint64_t>[kChunkSize](),
                                        std::memory_order_release);
    }
    for (uint32_t chunk = 0; chunk < histogram_chunks_; ++chunk) {
      slots->histograms.chunks[chunk].store(new std::atomic<Bins*>[kChunkSize](),
                                            std::memory_order_release);
    }
    return slots;
  }

  // Every thread gets the chunk before the index is handed out.
  template <class T>
  void Cover(uint32_t index, ChunkedTable<T> MetricSlots::* table) {
    const uint32_t chunk = index >> kChunkBits;
    uint32_t& chunks = ChunkCount(table);
    if (chunk < chunks) {
      return;
    }
    for (MetricSlots* slots : all_) {
      (slots->*table)
          .chunks[chunk]
          .store(new std::atomic<T>[kChunkSize](), std::memory_order_release);
    }
    chunks = chunk + 1;
  }

  uint32_t& ChunkCount(ChunkedTable<uint64_t> MetricSlots::*) { return value_chunks_; }
  uint32_t& ChunkCount(ChunkedTable<Bins*> MetricSlots::*) { return histogram_chunks_; }

  uint32_t GrowValues(uint32_t count) {
    if (next_value_ + count > kChunkSize * kMaxChunks) {
      return 0;
    }
    const uint32_t index = next_value_;
    next_value_ += count;
    Cover(index, &MetricSlots::values);
    start_.resize(next_value_);
    return index;
  }

  // The oldest first: a handle that was kept too long then does the least harm.
  static uint32_t TakeFree(std::deque<uint32_t>* list) {
    if (list->empty()) {
      return 0;
    }
    const uint32_t index = list->front();
    list->pop_front();
    return index;
  }

  void Put(uint32_t index, std::deque<uint32_t>* list) {
    if (index != 0) {
      std::lock_guard lock(mutex_);
      list->push_back(index);
    }
  }

  uint64_t Sum(uint32_t index) {
    uint64_t sum = 0;
    for (MetricSlots* slots : all_) {
      sum += slots->values.At(index).load(std::memory_order_relaxed);
    }
    return sum;
  }

  uint64_t Since(uint32_t index) {
    // 0 and 1 are the discard slots of counters and gauges.
    return index < 2 ? 0 : Sum(index) - start_[index];
  }

  // Nobody but its thread writes a slot, so "back to 0" moves the value from which is counted.
  uint32_t StartAgain(uint32_t index) {
    start_[index] = Sum(index);
    return index;
  }

  HistogramSnapshot Merge(uint32_t index) {
    HistogramSnapshot merged;
    std::map<std::pair<int, uint32_t>, uint64_t> counts;
    for (MetricSlots* slots : all_) {
      const Bins* bins = slots->histograms.At(index).load(std::memory_order_acquire);
      if (bins == nullptr) {
        continue;
      }
      merged.sum += bins->sum.load(std::memory_order_relaxed);
      for (int decade = 0; decade < kDecades; ++decade) {
        const std::atomic<uint64_t>* values = bins->decades[decade].load(std::memory_order_acquire);
        const uint32_t size = values == nullptr ? 0 : decade == 0 ? kFirstBins : kBinsPerDecade;
        for (uint32_t bin = 0; bin < size; ++bin) {
          if (const uint64_t count = values[bin].load(std::memory_order_relaxed)) {
            counts[{decade, bin}] += count;
          }
        }
      }
    }
    for (const auto& [place, count] : counts) {
      HistogramSnapshot::Bin bin = EdgesOf(place.first, place.second);
      bin.count = count;
      merged.count += count;
      merged.bins.push_back(bin);
    }
    return merged;
  }

  std::mutex mutex_;
  std::vector<MetricSlots*> all_;
  std::vector<MetricSlots*> idle_;  // of ended threads
  uint32_t value_chunks_ = 1;
  uint32_t histogram_chunks_ = 1;
  uint32_t next_value_ = 2;
  uint32_t next_histogram_ = 1;
  std::vector<uint64_t> start_{0, 0};
  std::map<uint32_t, HistogramSnapshot> histogram_start_;
  std::deque<uint32_t> free_values_;
  std::deque<uint32_t> free_pairs_;
  std::deque<uint32_t> free_histograms_;
};

Table& TheTable() {
  static Table& table = *new Table;
  return table;
}

// Gives the slots of a thread back when it ends.
struct Lease {
  ~Lease() {
    if (thread_slots != nullptr) {
      TheTable().Release(thread_slots);
      thread_slots = nullptr;
    }
  }
};

}  // namespace

MetricSlots* Attach() {
  thread_slots = TheTable().Acquire();
  // A thread that counts after this object's end attaches again and keeps those slots: rare, and no
  // count is lost.
  static thread_local Lease lease;
  (void)lease;
  return thread_slots;
}

}  // namespace metric_internal

using metric_internal::Bins;
using metric_internal::TheTable;

double HistogramSnapshot::Quantile(double fraction) const {
  if (count == 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const double rank = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count);
  double before = 0;
  for (const Bin& bin : bins) {
    const double after = before + static_cast<double>(bin.count);
    if (rank <= after) {
      if (bin.upper - bin.lower <= 1) {
        return static_cast<double>(bin.upper);
      }
      const double part = (rank - before) / static_cast<double>(bin.count);
      return static_cast<double>(bin.lower) +
             part * (static_cast<double>(bin.upper) - static_cast<double>(bin.lower));
    }
    before = after;
  }
  return static_cast<double>(bins.back().upper);
}

uint64_t HistogramSnapshot::CountAtMost(double bound) const {
  uint64_t result = 0;
  for (const Bin& bin : bins) {
    if (static_cast<double>(bin.upper) > bound) {
      break;
    }
    result += bin.count;
  }
  return result;
}

HistogramSnapshot HistogramSnapshot::Since(const HistogramSnapshot& earlier) const {
  if (earlier.count == 0) {
    return *this;
  }
  HistogramSnapshot result;
  result.sum = sum - earlier.sum;
  auto old = earlier.bins.begin();
  for (Bin bin : bins) {
    while (old != earlier.bins.end() && old->upper < bin.upper) {
      ++old;
    }
    if (old != earlier.bins.end() && old->upper == bin.upper) {
      bin.count -= old->count;
    }
    if (bin.count != 0) {
      result.count += bin.count;
      result.bins.push_back(bin);
    }
  }
  return result;
}

void Gauge::Set(int64_t value) const {
  TheTable().SetPair(index, value);
}

void Histogram::Record(uint64_t value) const {
  if (index == 0) {
    return;
  }
  std::atomic<Bins*>& slot = metric_internal::Slots().histograms.At(index);
  Bins* bins = slot.load(std::memory_order_relaxed);
  if (bins == nullptr) {
    bins = new Bins;
    slot.store(bins, std::memory_order_release);
  }
  bins->Record(value);
}

Counter NewCounter() {
  return {TheTable().NewValue()};
}
Gauge NewGauge() {
  return {TheTable().NewPair()};
}
Histogram NewHistogram() {
  return {TheTable().NewHistogram()};
}

void Free(Counter counter) {
  TheTable().FreeValue(counter.index);
}
void Free(Gauge gauge) {
  TheTable().FreePair(gauge.index);
}
void Free(Histogram histogram) {
  TheTable().FreeHistogram(histogram.index);
}

uint64_t Read(Counter counter) {
  return TheTable().ReadValue(counter.index);
}
int64_t Read(Gauge gauge) {
  return TheTable().ReadPair(gauge.index);
}
HistogramSnapshot Read(Histogram histogram) {
  return TheTable().ReadHistogram(histogram.index);
}

bool IsUsed(Gauge gauge) {
  return TheTable().IsPairUsed(gauge.index);
}

void Reset(Counter counter) {
  if (counter.index != 0) {
    TheTable().ResetValue(counter.index);
  }
}

}  // namespace sluice
