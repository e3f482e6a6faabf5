// Ejecting and letting return. See outlier_detection.h for the threads.
#include "source/upstream/outlier_detection.h"

#include <algorithm>
#include <cmath>

#include "source/base/log.h"
#include "source/base/strings.h"
#include "source/config/durations.h"

namespace sluice {
namespace {

using Config = envoy::config::cluster::v3::OutlierDetection;

constexpr std::string_view kNames[kEjectors] = {
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "consecutive_local_origin_failure",
    "success_rate",
    "local_origin_success_rate",
    "failure_percentage",
    "local_origin_failure_percentage",
};

uint32_t Or(const google::protobuf::UInt32Value& value, bool set, uint32_t standard) {
  return set ? value.value() : standard;
}
// The initializer of a field: what the runtime says, or the configuration, or the standard.
#define SLUICE_OR(field, standard) \
  field(runtime, "outlier_detection." #field, Or(config.field(), config.has_##field(), standard))
#define SLUICE_TIME_OR(field, standard)             \
  field(runtime, "outlier_detection." #field "_ms", \
        config.has_##field() ? config::ToDuration(config.field()) : Duration(standard))

// Adds one to a row of failures; true when that makes it `limit` long.
bool Lengthen(std::atomic<uint32_t>& row, uint32_t limit) {
  return row.fetch_add(1, std::memory_order_relaxed) + 1 == limit;
}

// Written only where it changes something: a good host's line is only read.
void End(std::atomic<uint32_t>& row) {
  if (row.load(std::memory_order_relaxed) != 0) row.store(0, std::memory_order_relaxed);
}

bool IsGatewayError(int status) {
  return status >= 502 && status <= 504;
}

}  // namespace

OutlierSettings::OutlierSettings(const Config& config, config::Runtime* runtime)
    : SLUICE_OR(consecutive_5xx, 5),
      SLUICE_OR(consecutive_gateway_failure, 5),
      SLUICE_OR(consecutive_local_origin_failure, 5),
      SLUICE_TIME_OR(interval, std::chrono::seconds(10)),
      SLUICE_TIME_OR(base_ejection_time, std::chrono::seconds(30)),
      SLUICE_TIME_OR(max_ejection_time,
                     std::max<Duration>(std::chrono::seconds(300), base_ejection_time.Get())),
      SLUICE_TIME_OR(max_ejection_time_jitter, 0),
      SLUICE_OR(max_ejection_percent, 10),
      always_eject_one_host(config.always_eject_one_host().value()),
      split_errors(config.split_external_local_origin_errors()),
      uneject_on_health_check(!config.has_successful_active_health_check_uneject_host() ||
                              config.successful_active_health_check_uneject_host().value()),
      SLUICE_OR(enforcing_consecutive_5xx, 100),
      SLUICE_OR(enforcing_consecutive_gateway_failure, 0),
      SLUICE_OR(enforcing_consecutive_local_origin_failure, 100),
      SLUICE_OR(enforcing_success_rate, 100),
      SLUICE_OR(enforcing_local_origin_success_rate, 100),
      SLUICE_OR(enforcing_failure_percentage, 0),
      SLUICE_OR(enforcing_failure_percentage_local_origin, 0),
      SLUICE_OR(success_rate_minimum_hosts, 5),
      SLUICE_OR(success_rate_request_volume, 100),
      SLUICE_OR(success_rate_stdev_factor, 1900),
      SLUICE_OR(failure_percentage_threshold, 85),
      SLUICE_OR(failure_percentage_minimum_hosts, 5),
      SLUICE_OR(failure_percentage_request_volume, 50) {}

OutlierDetector::OutlierDetector(const OutlierSettings& settings, const stats::Scope& scope,
                                 Worker& main, ListHosts hosts, OnChange on_change)
    : settings_(settings),
      main_(main),
      hosts_(std::move(hosts)),
      on_change_(std::move(on_change)),
      active_(scope.gauge("ejections_active")),
      enforced_total_(scope.counter("ejections_enforced_total")),
      overflow_(scope.counter("ejections_overflow")),
      old_total_(scope.counter("ejections_total")),
      old_5xx_(scope.counter("ejections_consecutive_5xx")),
      old_success_rate_(scope.counter("ejections_success_rate")) {
  for (size_t i = 0; i < kEjectors; ++i) {
    detected_[i] = scope.counter(Cat("ejections_detected_", kNames[i]));
    enforced_[i] = scope.counter(Cat("ejections_enforced_", kNames[i]));
  }
}

void OutlierDetector::Start() {
  main_.Post([this, weak = weak_from_this()] {
    if (weak.lock() != nullptr) main_.scope().Spawn(Run(weak, Interval()));
  });
}

void OutlierDetector::Stop() {
  stopped_ = true;
}

Task<> OutlierDetector::Run(std::weak_ptr<OutlierDetector> weak, Duration interval) {
  while (co_await Sleep(interval)) {
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) co_return;
    self->OnInterval(Now());
    interval = self->Interval();
  }
}

// The runtime may say nothing that would keep the main thread from all else.
Duration OutlierDetector::Interval() const {
  return std::max<Duration>(settings_.interval.Get(), std::chrono::milliseconds(10));
}

void OutlierDetector::OnAnswer(const std::shared_ptr<HostStats>& host, int status) {
  HostHealth::Consecutive& rows = host->health.consecutive;
  if (status < 500) {
    End(rows.server_errors);
    End(rows.gateway_errors);
    return;
  }
  if (!IsGatewayError(status)) {
    End(rows.gateway_errors);
  } else if (Lengthen(rows.gateway_errors, settings_.consecutive_gateway_failure)) {
    Report(host, Ejector::kConsecutiveGatewayFailure);
  }
  if (Lengthen(rows.server_errors, settings_.consecutive_5xx))
    Report(host, Ejector::kConsecutive5xx);
}

void OutlierDetector::OnLocalFailure(const std::shared_ptr<HostStats>& host, int status) {
  if (!settings_.split_errors) return OnAnswer(host, status);
  if (Lengthen(host->health.consecutive.local_failures, settings_.consecutive_local_origin_failure))
    Report(host, Ejector::kConsecutiveLocalOriginFailure);
}

void OutlierDetector::OnConnected(const HostStats& host) {
  if (settings_.split_errors) End(host.health.consecutive.local_failures);
}

void OutlierDetector::Report(const std::shared_ptr<HostStats>& host, Ejector ejector) {
  main_.Post([weak = weak_from_this(), host, ejector] {
    const auto self = weak.lock();
    if (self != nullptr && !self->stopped_) self->OnRow(*host, ejector);
  });
}

void OutlierDetector::OnRow(const HostStats& host, Ejector ejector) {
  if (host.health.Has(HostHealth::kFailedOutlierCheck)) return;
  detected_[static_cast<size_t>(ejector)].Add();
  if (ejector == Ejector::kConsecutive5xx) old_5xx_.Add();
  Eject(host, ejector);
  // The next row is counted from here, also where nothing came of this one.
  HostHealth::Consecutive& rows = host.health.consecutive;
  if (ejector == Ejector::kConsecutive5xx) End(rows.server_errors);
  if (ejector == Ejector::kConsecutiveGatewayFailure) End(rows.gateway_errors);
  if (ejector == Ejector::kConsecutiveLocalOriginFailure) End(rows.local_failures);
}

uint32_t OutlierDetector::Enforcing(Ejector ejector) const {
  switch (ejector) {
    case Ejector::kConsecutive5xx:
      return settings_.enforcing_consecutive_5xx;
    case Ejector::kConsecutiveGatewayFailure:
      return settings_.enforcing_consecutive_gateway_failure;
    case Ejector::kConsecutiveLocalOriginFailure:
      return settings_.enforcing_consecutive_local_origin_failure;
    case Ejector::kSuccessRate:
      return settings_.enforcing_success_rate;
    case Ejector::kLocalOriginSuccessRate:
      return settings_.enforcing_local_origin_success_rate;
    case Ejector::kFailurePercentage:
      return settings_.enforcing_failure_percentage;
    case Ejector::kLocalOriginFailurePercentage:
      return settings_.enforcing_failure_percentage_local_origin;
  }
  return 0;
}

size_t OutlierDetector::Ejected(const std::vector<HostStatsPtr>& hosts) const {
  return static_cast<size_t>(std::count_if(hosts.begin(), hosts.end(), [](const auto& host) {
    return host->health.Has(HostHealth::kFailedOutlierCheck);
  }));
}

void OutlierDetector::Eject(const HostStats& host, Ejector ejector) {
  const std::vector<HostStatsPtr> hosts = hosts_();
  const size_t ejected = Ejected(hosts);
  const bool within = 100 * (ejected + 1) <= size_t{settings_.max_ejection_percent.Get()} *
                                                 std::max<size_t>(hosts.size(), 1);
  if (!within && !(settings_.always_eject_one_host && ejected == 0)) return overflow_.Add();
  if (ejector == Ejector::kConsecutive5xx || ejector == Ejector::kSuccessRate) old_total_.Add();
  if (!main_.rng().Chance(Enforcing(ejector), 100)) return;
  enforced_total_.Add();
  enforced_[static_cast<size_t>(ejector)].Add();
  HostHealth::Ejection& ejection = host.health.ejection;
  ejection.at = Now();
  const Duration base = settings_.base_ejection_time.Get();
  if (base * (ejection.multiplier + 1) < settings_.max_ejection_time.Get() + base) {
    ++ejection.multiplier;
  }
  const auto jitter = static_cast<uint64_t>(settings_.max_ejection_time_jitter.Get().count());
  ejection.jitter = jitter == 0 ? Duration::zero()
                                : Duration(static_cast<int64_t>(main_.rng().Below(jitter + 1)));
  host.health.Set(HostHealth::kFailedOutlierCheck, true);
  active_.Set(static_cast<int64_t>(ejected + 1));
  SLUICE_LOG(kDebug, kUpstream, "outlier detection: a host is ejected for ",
             kNames[static_cast<size_t>(ejector)]);
  on_change_(host);
}

void OutlierDetector::Return(const HostStats& host, TimePoint now) {
  host.health.Set(HostHealth::kFailedOutlierCheck, false);
  HostHealth::Consecutive& rows = host.health.consecutive;
  End(rows.server_errors);
  End(rows.gateway_errors);
  End(rows.local_failures);
  host.health.ejection.ended = now;
  host.health.set_healthy_since(now);
  on_change_(host);
}

void OutlierDetector::MayReturn(const HostStats& host, TimePoint now) {
  HostHealth::Ejection& ejection = host.health.ejection;
  if (!host.health.Has(HostHealth::kFailedOutlierCheck)) {
    // A quiet interval makes the next ejection shorter.
    if (ejection.multiplier > 0 && now - ejection.ended >= settings_.interval.Get())
      --ejection.multiplier;
    return;
  }
  const Duration time = std::min<Duration>(settings_.base_ejection_time.Get() * ejection.multiplier,
                                           settings_.max_ejection_time.Get()) +
                        ejection.jitter;
  if (now - ejection.at >= time) Return(host, now);
}

void OutlierDetector::OnHealthCheckPassed(const HostStats& host) {
  if (!settings_.uneject_on_health_check || !host.health.Has(HostHealth::kFailedOutlierCheck))
    return;
  Return(host, Now());
  active_.Set(static_cast<int64_t>(Ejected(hosts_())));
}

void OutlierDetector::OnInterval(TimePoint now) {
  const std::vector<HostStatsPtr> hosts = hosts_();
  std::vector<Volume> external(hosts.size()), local(hosts.size());
  for (size_t i = 0; i < hosts.size(); ++i) {
    const HostStats& host = *hosts[i];
    MayReturn(host, now);
    HostHealth::Ejection& seen = host.health.ejection;
    const uint64_t success = Read(host.rq_success), error = Read(host.rq_error);
    const uint64_t local_error = Read(host.rq_local_error);
    const uint64_t answers = success - seen.seen_success;
    const uint64_t errors = error - seen.seen_error;
    const uint64_t no_answers = std::min(local_error - seen.seen_local_error, errors);
    seen.seen_success = success;
    seen.seen_error = error;
    seen.seen_local_error = local_error;
    external[i] = {answers, answers + errors - (settings_.split_errors ? no_answers : 0)};
    local[i] = {answers + errors - no_answers, answers + errors};
  }
  rates_ = JudgeRates(hosts, false, external);
  if (settings_.split_errors) local_rates_ = JudgeRates(hosts, true, local);
  active_.Set(static_cast<int64_t>(Ejected(hosts)));
}

OutlierDetector::Rates OutlierDetector::JudgeRates(const std::vector<HostStatsPtr>& hosts,
                                                   bool local, const std::vector<Volume>& volumes) {
  Rates rates;
  std::vector<Sample> by_deviation, by_percentage;
  double sum = 0;
  // Of too few hosts for either detector no rates are told.
  const bool enough = hosts.size() >= std::min(settings_.success_rate_minimum_hosts.Get(),
                                               settings_.failure_percentage_minimum_hosts.Get());
  for (size_t i = 0; i < hosts.size(); ++i) {
    HostHealth::Ejection& host = hosts[i]->health.ejection;
    double& shown = local ? host.local_success_rate : host.success_rate;
    shown = -1;
    const auto [success, total] = volumes[i];
    if (!enough || total == 0 || hosts[i]->health.Has(HostHealth::kFailedOutlierCheck)) continue;
    const double rate = 100.0 * static_cast<double>(success) / static_cast<double>(total);
    if (total >= std::min(settings_.success_rate_request_volume.Get(),
                          settings_.failure_percentage_request_volume.Get())) {
      shown = rate;
    }
    if (total >= settings_.success_rate_request_volume) {
      by_deviation.push_back({hosts[i].get(), rate});
      sum += rate;
    }
    if (total >= settings_.failure_percentage_request_volume)
      by_percentage.push_back({hosts[i].get(), rate});
  }
  const auto eject = [this](const HostStats& host, Ejector ejector) {
    detected_[static_cast<size_t>(ejector)].Add();
    if (!host.health.Has(HostHealth::kFailedOutlierCheck)) Eject(host, ejector);
  };
  if (!by_deviation.empty() && by_deviation.size() >= settings_.success_rate_minimum_hosts) {
    const double count = static_cast<double>(by_deviation.size());
    rates.average = sum / count;
    double squares = 0;
    for (const Sample& sample : by_deviation)
      squares += (sample.rate - rates.average) * (sample.rate - rates.average);
    rates.threshold =
        rates.average - settings_.success_rate_stdev_factor / 1000.0 * std::sqrt(squares / count);
    for (const Sample& sample : by_deviation) {
      if (sample.rate >= rates.threshold) continue;
      old_success_rate_.Add();  // Found, enforced or not, and of either kind.
      eject(*sample.host, local ? Ejector::kLocalOriginSuccessRate : Ejector::kSuccessRate);
    }
  }
  if (!by_percentage.empty() &&
      by_percentage.size() >= settings_.failure_percentage_minimum_hosts) {
    for (const Sample& sample : by_percentage) {
      if (100 - sample.rate >= settings_.failure_percentage_threshold) {
        eject(*sample.host,
              local ? Ejector::kLocalOriginFailurePercentage : Ejector::kFailurePercentage);
      }
    }
  }
  return rates;
}

}  // namespace sluice
