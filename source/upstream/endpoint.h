// Endpoint: one upstream host with its addresses, its figures, its health, and on each worker its
// pool of connections. Immutable but for the figures (counted per worker), the health
// (host_health.h) and the pools (each touched by its own worker only).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "source/base/metric.h"
#include "source/http/upstream_host.h"
#include "source/net/address.h"
#include "source/upstream/dns/host_use.h"
#include "source/upstream/host_health.h"

namespace envoy::config::core::v3 {
class Metadata;
}
namespace google::protobuf {
class Struct;
}

namespace sluice {

class ConnPool;
struct AnswerStats;

/// The figures of /clusters for one host. Shared by successive endpoints of the same host, so that
/// they survive a DNS change.
class HostStats {
 public:
  HostStats();
  ~HostStats();
  HostStats(const HostStats&) = delete;

  Counter cx_total, cx_connect_fail, rq_total, rq_success, rq_error, rq_timeout;
  Counter rq_local_error;  // those of rq_error that are no answer: refused, reset, timed out
  Gauge cx_active, rq_active, rq_pending;
  mutable HostHealth health;
  /// What a DNS cache counts of the host's name; null: nothing. Set before others see this.
  std::shared_ptr<HostUse> use;

  /// Connections that exist or are being made, on all workers: counted only where the configuration
  /// limits them.
  mutable std::atomic<uint32_t> limited_connections{0};
};

/// One of the connections that a host may have (per_host_thresholds); gives its place back when it
/// dies.
class HostPlace {
 public:
  HostPlace() = default;
  /// Empty when `limit` connections are there already.
  static HostPlace Try(const HostStats& host, uint32_t limit) {
    HostPlace place(host);
    if (host.limited_connections.load(std::memory_order_relaxed) > limit) place = HostPlace();
    return place;
  }
  explicit HostPlace(const HostStats& host) : host_(&host) {
    host.limited_connections.fetch_add(1, std::memory_order_relaxed);
  }
  HostPlace(HostPlace&& other) noexcept : host_(std::exchange(other.host_, nullptr)) {}
  HostPlace& operator=(HostPlace&& other) noexcept {
    std::swap(host_, other.host_);
    return *this;
  }
  ~HostPlace() {
    if (host_ != nullptr) host_->limited_connections.fetch_sub(1, std::memory_order_relaxed);
  }
  explicit operator bool() const { return host_ != nullptr; }

 private:
  const HostStats* host_ = nullptr;
};

/// The health that an endpoint's configuration names (health_status). Envoy's names for its flags
/// call it EDS health.
enum class ConfiguredHealth : uint8_t { kHealthy, kUnhealthy, kDraining, kDegraded };

/// How long an endpoint takes to answer, as one worker has seen it.
struct ResponseTime {
  double seconds = 0;
  TimePoint at{};  // of the last measurement; default: none
};

class Endpoint {
 public:
  struct Settings : UpstreamHost {
    std::vector<Address> addresses;  // tried in order; the first names the host
    uint32_t weight = 1;
    uint32_t priority = 0;
    std::string hash_key;  // what a hashing policy takes for its name; empty: address or hostname
    std::string region, zone, sub_zone;
    uint32_t locality_weight = 0;  // zero: not given
    ConfiguredHealth configured_health = ConfiguredHealth::kHealthy;
    bool canary = false;  // { envoy.lb: { canary: true } }
    /// What its answers are counted under by its zone, which the cluster keeps; null: nothing.
    const AnswerStats* zone_answers = nullptr;
    /// What the metadata has below envoy.lb; null: nothing.
    std::shared_ptr<const google::protobuf::Struct> metadata;
    struct HealthCheck {
      bool disabled = false;
      uint16_t port = 0;     // zero: that of the address
      Address address;       // unset: that of the host
      std::string hostname;  // of an HTTP check; empty: as the cluster's check says
      bool operator==(const HealthCheck&) const = default;
    } health_check;
  };

  Endpoint(Settings settings, std::shared_ptr<HostStats> stats, size_t workers);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;

  const std::string& hostname() const { return settings_.hostname; }
  const std::vector<Address>& addresses() const { return settings_.addresses; }
  const Address& address() const { return settings_.addresses.front(); }
  const Settings& settings() const { return settings_; }
  const HostStats& stats() const { return *stats_; }
  const std::shared_ptr<HostStats>& shared_stats() const { return stats_; }

  /// Requests in flight, over all workers: what the least-request policy compares.
  int64_t active() const;
  void AddActive(int worker, int64_t n) const;

  /// That worker's own.
  ResponseTime& response_time(int worker) const { return lines_[worker].response_time; }

  /// The pool of a worker; made and dropped (DropPool, in conn_pool.h) by that worker.
  std::shared_ptr<ConnPool>& pool(int worker) const { return lines_[worker].pool; }

 private:
  const Settings settings_;
  const std::shared_ptr<HostStats> stats_;
  struct alignas(64) Line {
    std::shared_ptr<ConnPool> pool;
    std::atomic<int64_t> active{0};
    ResponseTime response_time;
  };
  mutable std::vector<Line> lines_;
};

using EndpointPtr = std::shared_ptr<const Endpoint>;
using EndpointList = std::vector<EndpointPtr>;

}  // namespace sluice
