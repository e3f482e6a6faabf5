// HealthChecker: asks the hosts of one cluster in turn whether they are well, and marks those that
// are not. Main thread only; a worker's word about a host comes by message.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "source/config/runtime.h"
#include "source/net/dialer.h"
#include "source/observe/format/header_edits.h"
#include "source/observe/match/match.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/endpoint.h"

namespace sluice {

struct UpstreamTransport;

/// envoy.config.core.v3.HealthCheck, checked and with its defaults filled in.
struct HealthCheckSettings {
  struct Range {
    int64_t start, end;  // the end is not in it
    static bool Holds(const std::vector<Range>& ranges, int64_t value);
  };
  struct Http {
    std::string host, path, method = "GET";
    std::string send;
    std::vector<std::string> receive;
    HeaderEdits edits;
    std::vector<Range> expected = {{200, 201}}, retriable;
    size_t searched = 1024;                // bytes of the body
    std::optional<StringMatcher> service;  // who must have answered
    config::RuntimeFraction verified;      // the share of checks for which that holds
    Counter verify_cluster;
  };
  struct Tcp {
    std::string send;
    std::vector<std::string> receive;
  };

  Duration timeout{}, interval{}, interval_jitter{}, initial_jitter{};
  uint32_t interval_jitter_percent = 0;
  Duration no_traffic_interval{}, no_traffic_healthy_interval{};
  Duration unhealthy_interval{}, unhealthy_edge_interval{}, healthy_edge_interval{};
  uint32_t unhealthy_threshold = 1, healthy_threshold = 1;
  bool reuse_connection = true;
  std::optional<Http> http;  // else TCP
  Tcp tcp;
  bool ignore_new_hosts = false;                       // until they were checked
  std::shared_ptr<const UpstreamTransport> transport;  // the cluster's
};

/// What one check says.
enum class ProbeResult : uint8_t {
  kPassed,
  kDegraded,
  kFailed,     // the host answered that it is not well: final at once
  kRetriable,  // it did, but that counts against the threshold
  kNetwork,    // no answer
  kTimeout,
  kCancelled,
};

/// The connection over which one host is checked.
class HealthProbe {
 public:
  virtual ~HealthProbe() = default;
  /// One check, under `canceller`, which the caller interrupts when its time is up.
  virtual Task<ProbeResult> Check(Worker& main, Canceller& canceller) = 0;
  /// Gives the connection up.
  virtual void Close() = 0;
};

/// Where a host is checked.
struct HealthTarget {
  std::shared_ptr<const HostStats> host;
  Address address;
  std::string hostname;  // of an HTTP check; empty: as configured

  bool operator==(const HealthTarget&) const = default;
};

std::unique_ptr<HealthProbe> HttpProbe(std::shared_ptr<const HealthCheckSettings> settings,
                                       const HealthTarget& target, const Dialer& dialer,
                                       DialOptions options);
std::unique_ptr<HealthProbe> TcpProbe(std::shared_ptr<const HealthCheckSettings> settings,
                                      const HealthTarget& target, const Dialer& dialer,
                                      DialOptions options);

class HealthChecker : public std::enable_shared_from_this<HealthChecker> {
 public:
  using MakeProbe = std::function<std::unique_ptr<HealthProbe>(const HealthTarget&)>;
  /// `passed`: the check was passed; `changed`: so the host's flags are others now.
  using OnResult = std::function<void(const HostStats&, bool passed, bool changed)>;

  /// `scope` is cluster.<name>; `traffic` counts the connections of the cluster. `main` outlives
  /// the checker.
  HealthChecker(std::shared_ptr<const HealthCheckSettings> settings, const stats::Scope& scope,
                Counter traffic, Worker& main, MakeProbe make_probe, OnResult on_result);
  ~HealthChecker();

  /// Whom to check from now on. New hosts are checked at once.
  void SetTargets(std::vector<HealthTarget> targets);
  /// Begins. Checks end with the checker, or with Stop().
  void Start();
  void Stop();
  /// True when every host was checked at least once.
  bool first_round_done() const;

  /// Marks a new host as one that was not checked yet.
  void Prepare(const HostStats& host) const;
  /// The host itself said in an answer that it is not well (x-envoy-immediate-health-check-fail).
  void OnImmediateFailure(const HostStats& host);
  /// Brings the gauges up to date.
  void RefreshGauges() const;

  const HealthCheckSettings& settings() const { return *settings_; }

 private:
  struct Watched {
    HealthTarget target;
    std::unique_ptr<HealthProbe> probe;
    Canceller canceller;
    bool gone = false;
    bool first = true;  // no result yet
    uint32_t passed = 0, failed = 0;
  };
  enum class Turn : uint8_t { kNone, kPending, kDone };  // of a host's health

  static Task<> Run(std::weak_ptr<HealthChecker> weak, std::shared_ptr<Watched> watched,
                    Worker& main, Duration first_delay);
  static Task<ProbeResult> CheckInTime(Worker& main, Watched& watched, Duration timeout);
  void Spawn(const std::shared_ptr<Watched>& watched);
  /// The result of a check; returns how long to wait for the next one.
  Duration Conclude(Watched& watched, ProbeResult result);
  Turn Pass(Watched& watched, bool degraded, bool* changed);
  Turn Fail(Watched& watched, ProbeResult result, bool* changed);
  Duration IntervalAfter(bool healthy, Turn turn) const;

  const std::shared_ptr<const HealthCheckSettings> settings_;
  Worker& main_;
  const MakeProbe make_probe_;
  const OnResult on_result_;
  const Counter traffic_;
  const Counter attempt_, success_, failure_, passive_failure_, network_failure_, verify_cluster_;
  const Gauge healthy_, degraded_;
  std::vector<std::shared_ptr<Watched>> watched_;
  bool started_ = false;
};

}  // namespace sluice
