// Balancer: which endpoint of a list serves the next request. Immutable and shared; what changes
// from pick to pick is the worker's.
#pragma once

#include <memory>
#include <optional>

#include "absl/types/span.h"
#include "source/async/worker.h"
#include "source/upstream/endpoint.h"

namespace sluice {

/// What a policy has computed for one list, once (a hash ring, say). Immutable.
class PickTable {
 public:
  virtual ~PickTable() = default;
};

/// The endpoints among which a policy chooses: those of one priority and one state of health, and
/// where localities are weighted of one locality. Immutable; made on the main thread.
struct PickList {
  EndpointList endpoints;
  std::vector<double> weights;  // in the order of the endpoints; empty: all are equal
  size_t index = 0;             // of the worker's ListState
  TimePoint slow_until{};       // until then some endpoint is in its slow start
  std::unique_ptr<const PickTable> table;
};

/// One entry of a schedule by earliest deadline first.
struct Deadlined {
  double deadline;
  uint32_t order;  // among equal deadlines the one that was there first
  uint32_t index;
};

/// Chooses indexes in proportion to their weights, evenly spread. Belongs to one worker; allocates
/// only when it begins.
class Schedule {
 public:
  bool empty() const { return heap_.empty(); }
  /// Begins anew; `weight(i)` > 0. Some first choices are passed over, so that workers do not march
  /// in step.
  template <class Weight>
  void Begin(size_t size, const Weight& weight, Rng& rng) {
    heap_.clear();
    now_ = 0;
    order_ = 0;
    for (size_t i = 0; i < size; ++i) Push(i, weight(i));
    for (uint64_t skipped = rng.Below(size); skipped > 0; --skipped) Next(weight);
  }
  template <class Weight>
  size_t Next(const Weight& weight) {
    const size_t index = Pop();
    Push(index, weight(index));
    return index;
  }

 private:
  void Push(size_t index, double weight);
  size_t Pop();

  std::vector<Deadlined> heap_;
  double now_ = 0;
  uint32_t order_ = 0;
};

/// A worker's own state for one list.
struct ListState {
  int worker = 0;
  uint64_t cursor = 0;  // rotates; starts at random so that workers do not march in step
  Schedule schedule;
};

/// How a host's weight grows from `min_weight_percent` to all of it (SlowStartConfig).
struct SlowStart {
  Duration window{};  // zero: none
  double aggression = 1;
  double min_weight_percent = 10;

  /// What its weight is multiplied with, for a host that has been healthy since then.
  double FactorAt(TimePoint now, TimePoint healthy_since) const;
};

/// What every policy may be told.
struct BalancerOptions {
  SlowStart slow_start;
  bool locality_weighted = false;  // localities get traffic by their weights
  bool fail_on_panic = false;      // rather no endpoint than an unhealthy one
};

class Balancer {
 public:
  explicit Balancer(BalancerOptions options = {}) : options_(options) {}
  virtual ~Balancer() = default;

  /// Main thread: what Pick needs to know of a list that has at least one endpoint; null: nothing.
  virtual std::unique_ptr<const PickTable> Prepare(const PickList& list) const { return nullptr; }
  /// True for policies that hash: localities are not picked first, their weights are folded into
  /// those of the endpoints.
  virtual bool merges_localities() const { return false; }
  /// Whether it looks at `hash`: a request's is computed only then.
  virtual bool uses_hash() const { return false; }
  /// Whether what comes next is known before it is asked for.
  virtual bool can_peek() const { return false; }
  /// True for policies that want to know how long answers take.
  virtual bool measures() const { return false; }
  /// Worker: an attempt took so long, to the head of its answer or to its failure. `time` is what
  /// this worker keeps of that endpoint.
  virtual void OnOutcome(ResponseTime& time, Duration taken, bool failed, TimePoint now) const {}
  /// Worker: the index of one endpoint of a list that has at least one. `hash` is the request's;
  /// zero: it has none.
  virtual size_t Pick(const PickList& list, uint64_t hash, ListState& state, Rng& rng) const = 0;

  const BalancerOptions& options() const { return options_; }

 protected:
  /// The weight of an endpoint now.
  double WeightOf(const PickList& list, size_t index, TimePoint now) const;
  /// True while all weights are one.
  bool IsEven(const PickList& list, TimePoint* now) const;

 private:
  const BalancerOptions options_;
};

struct LeastRequestSettings {
  uint32_t choices = 2;
  double active_request_bias = 1;
  bool full_scan = false;
};

/// Each in turn, as often as its weight says.
std::unique_ptr<const Balancer> RoundRobin(const BalancerOptions& options = {});
/// Of `choices` endpoints taken at random (or of all) the one with the fewest active requests;
/// where weights differ, in turn with the weight divided by (active + 1)^bias.
std::unique_ptr<const Balancer> LeastRequest(const LeastRequestSettings& settings,
                                             const BalancerOptions& options = {});
/// Heeds no weights of endpoints, as Envoy's policy of that name.
std::unique_ptr<const Balancer> RandomChoice(const BalancerOptions& options = {});

}  // namespace sluice
