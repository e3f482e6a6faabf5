// OutlierDetector: ejects the hosts of one cluster that fail, for a while. Workers report what
// became of each attempt; rows of failures, rates and returns are judged on the main thread.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "api/envoy/config/cluster/v3/outlier_detection.pb.h"
#include "source/async/worker.h"
#include "source/config/runtime.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/endpoint.h"

namespace sluice {

/// envoy.config.cluster.v3.OutlierDetection with Envoy's defaults. The runtime's values of
/// outlier_detection.<field>, of all clusters, go before them; times as <field>_ms.
struct OutlierSettings {
  class Number : public config::RuntimeUInt32 {
   public:
    using RuntimeUInt32::RuntimeUInt32;
    operator uint32_t() const { return Get(); }
  };
  class Time {
   public:
    Time(config::Runtime* runtime, std::string_view key, Duration fallback)
        : milliseconds_(runtime, key, UINT32_MAX), fallback_(fallback) {}
    Duration Get() const {
      const uint32_t milliseconds = milliseconds_.Get();
      return milliseconds == UINT32_MAX ? fallback_ : std::chrono::milliseconds(milliseconds);
    }

   private:
    config::RuntimeUInt32 milliseconds_;  // UINT32_MAX: the runtime has none
    Duration fallback_;
  };

  explicit OutlierSettings(const envoy::config::cluster::v3::OutlierDetection& config,
                           config::Runtime* runtime = nullptr);

  Number consecutive_5xx, consecutive_gateway_failure, consecutive_local_origin_failure;
  Time interval, base_ejection_time, max_ejection_time, max_ejection_time_jitter;
  Number max_ejection_percent;
  bool always_eject_one_host, split_errors, uneject_on_health_check;
  Number enforcing_consecutive_5xx, enforcing_consecutive_gateway_failure,
      enforcing_consecutive_local_origin_failure, enforcing_success_rate,
      enforcing_local_origin_success_rate, enforcing_failure_percentage,
      enforcing_failure_percentage_local_origin;
  Number success_rate_minimum_hosts, success_rate_request_volume, success_rate_stdev_factor;
  Number failure_percentage_threshold, failure_percentage_minimum_hosts,
      failure_percentage_request_volume;
};

/// What a host is ejected for.
enum class Ejector : uint8_t {
  kConsecutive5xx,
  kConsecutiveGatewayFailure,
  kConsecutiveLocalOriginFailure,
  kSuccessRate,
  kLocalOriginSuccessRate,
  kFailurePercentage,
  kLocalOriginFailurePercentage,
};
inline constexpr size_t kEjectors = 7;

class OutlierDetector : public std::enable_shared_from_this<OutlierDetector> {
 public:
  using HostStatsPtr = std::shared_ptr<const HostStats>;
  /// The hosts as they are now. Main thread.
  using ListHosts = std::function<std::vector<HostStatsPtr>()>;
  /// Called on the main thread when a host was ejected or came back.
  using OnChange = std::function<void(const HostStats&)>;

  /// `scope` is cluster.<name>.outlier_detection. `main` outlives the detector.
  OutlierDetector(const OutlierSettings& settings, const stats::Scope& scope, Worker& main,
                  ListHosts hosts, OnChange on_change);

  /// Main thread, once: begins the intervals. They end with the detector, or with Stop().
  void Start();
  void Stop();

  /// Worker: the host answered with that status.
  void OnAnswer(const std::shared_ptr<HostStats>& host, int status);
  /// Worker: there was no answer: refused, reset, timed out (`status` is what the client would be
  /// told: 503, 504).
  void OnLocalFailure(const std::shared_ptr<HostStats>& host, int status);
  /// Worker: a connection to the host stands.
  void OnConnected(const HostStats& host);
  /// Main thread: the host has passed an active health check.
  void OnHealthCheckPassed(const HostStats& host);

  /// Main thread: what /clusters prints; -1: not computed.
  struct Rates {
    double average = -1, threshold = -1;
  };
  const Rates& rates() const { return rates_; }
  const Rates& local_rates() const { return local_rates_; }
  /// Main thread: judges rates and lets hosts return; what the interval calls.
  void OnInterval(TimePoint now);
  const OutlierSettings& settings() const { return settings_; }

 private:
  struct Sample {
    const HostStats* host;
    double rate;  // percent of successes
  };
  struct Volume {
    uint64_t success = 0, total = 0;
  };
  static Task<> Run(std::weak_ptr<OutlierDetector> weak, Duration interval);
  Duration Interval() const;
  void Report(const std::shared_ptr<HostStats>& host, Ejector ejector);
  void OnRow(const HostStats& host, Ejector ejector);
  void Eject(const HostStats& host, Ejector ejector);
  void Return(const HostStats& host, TimePoint now);
  void MayReturn(const HostStats& host, TimePoint now);
  Rates JudgeRates(const std::vector<HostStatsPtr>& hosts, bool local,
                   const std::vector<Volume>& volumes);
  uint32_t Enforcing(Ejector ejector) const;
  size_t Ejected(const std::vector<HostStatsPtr>& hosts) const;

  const OutlierSettings settings_;
  Worker& main_;
  const ListHosts hosts_;
  const OnChange on_change_;
  const Gauge active_;
  const Counter enforced_total_, overflow_;
  const Counter old_total_, old_5xx_, old_success_rate_;  // Envoy's older names
  Counter detected_[kEjectors], enforced_[kEjectors];
  Rates rates_, local_rates_;
  bool stopped_ = false;
};

}  // namespace sluice
