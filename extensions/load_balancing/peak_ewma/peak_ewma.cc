// Measuring and choosing. Worker threads.
#include "extensions/load_balancing/peak_ewma/peak_ewma.h"

#include <cmath>

#include "api/sluice/load_balancing/v1/peak_ewma.pb.h"
#include "source/config/durations.h"

namespace sluice {
namespace {

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

class PeakEwmaBalancer final : public Balancer {
 public:
  PeakEwmaBalancer(const PeakEwmaSettings& settings, const BalancerOptions& options)
      : Balancer(options),
        choices_(settings.choices),
        decay_(Seconds(settings.decay_time)),
        default_(Seconds(settings.default_response_time)),
        failure_(Seconds(settings.failure_response_time)) {}

  bool measures() const override { return true; }

  // A slower answer than expected counts in full at once: that is the peak. A faster one is
  // believed the more, the longer ago the last one was.
  void OnOutcome(ResponseTime& time, Duration taken, bool failed, TimePoint now) const override {
    const double seconds = failed ? std::max(Seconds(taken), failure_) : Seconds(taken);
    if (time.at == TimePoint() || seconds >= time.seconds) {
      time.seconds = seconds;
    } else {
      const double old = std::exp(-Seconds(now - time.at) / decay_);
      time.seconds = time.seconds * old + seconds * (1 - old);
    }
    time.at = now;
  }

  size_t Pick(const PickList& list, uint64_t, ListState& state, Rng& rng) const override {
    const TimePoint now = Now();
    size_t best = rng.Below(list.endpoints.size());
    double least = Cost(list, best, state.worker, now);
    for (uint32_t i = 1; i < choices_ && list.endpoints.size() > 1; ++i) {
      // Never the same one: two of two are both looked at.
      const size_t candidate =
          (best + 1 + rng.Below(list.endpoints.size() - 1)) % list.endpoints.size();
      const double cost = Cost(list, candidate, state.worker, now);
      if (cost >= least) continue;
      best = candidate;
      least = cost;
    }
    return best;
  }

 private:
  double Cost(const PickList& list, size_t index, int worker, TimePoint now) const {
    const Endpoint& endpoint = *list.endpoints[index];
    const ResponseTime& time = endpoint.response_time(worker);
    double seconds = default_;
    if (time.at != TimePoint()) {
      // Without answers a peak fades: the endpoint is tried again, sooner or later.
      const double old = std::exp(-Seconds(now - time.at) / decay_);
      seconds = time.seconds * old + std::min(time.seconds, default_) * (1 - old);
    }
    return seconds * static_cast<double>(std::max<int64_t>(endpoint.active(), 0) + 1) /
           WeightOf(list, index, now);
  }

  const uint32_t choices_;
  const double decay_, default_, failure_;
};

using Proto = sluice::load_balancing::v1::PeakEwma;

absl::StatusOr<std::unique_ptr<const Balancer>> Create(const Proto& config, FactoryContext&) {
  PeakEwmaSettings settings;
  if (config.has_decay_time()) settings.decay_time = config::ToDuration(config.decay_time());
  if (config.has_default_response_time())
    settings.default_response_time = config::ToDuration(config.default_response_time());
  if (config.has_failure_response_time())
    settings.failure_response_time = config::ToDuration(config.failure_response_time());
  if (config.has_choice_count()) settings.choices = config.choice_count().value();
  BalancerOptions options;
  options.locality_weighted = config.locality_lb_config().has_locality_weighted_lb_config();
  options.fail_on_panic =
      config.locality_lb_config().zone_aware_lb_config().fail_traffic_on_panic();
  return PeakEwma(settings, options);
}

}  // namespace

std::unique_ptr<const Balancer> PeakEwma(const PeakEwmaSettings& settings,
                                         const BalancerOptions& options) {
  return std::make_unique<PeakEwmaBalancer>(settings, options);
}

void RegisterPeakEwma(Registry& registry) {
  registry.AddBalancer<Proto>("sluice.load_balancing.peak_ewma", Create);
}

}  // namespace sluice
