// Stats: names for the metrics of base/metric.h, under Envoy's dotted names and tags, and what the
// admin's /stats prints. Registering and reading take the store's mutex and belong on the main
// thread; the handles count on any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "source/base/metric.h"

namespace sluice::stats {

/// Tags under Envoy's names. In Prometheus a tag is a label (dots become underscores) and its
/// segment leaves the name.
namespace tag {
inline constexpr std::string_view kClusterName = "envoy.cluster_name";
inline constexpr std::string_view kHttpConnManagerPrefix = "envoy.http_conn_manager_prefix";
inline constexpr std::string_view kListenerAddress = "envoy.listener_address";
inline constexpr std::string_view kTcpPrefix = "envoy.tcp_prefix";
inline constexpr std::string_view kWorkerId = "envoy.worker_id";
inline constexpr std::string_view kVirtualHost = "envoy.virtual_host";
inline constexpr std::string_view kVirtualCluster = "envoy.virtual_cluster";
inline constexpr std::string_view kRoute = "envoy.route";
inline constexpr std::string_view kConnectionLimitPrefix = "envoy.connection_limit_prefix";
inline constexpr std::string_view kRbacPrefix = "envoy.rbac_prefix";
inline constexpr std::string_view kLocalNetworkRateLimitPrefix =
    "envoy.local_network_ratelimit_prefix";
inline constexpr std::string_view kLocalHttpRateLimitPrefix = "envoy.local_http_ratelimit_prefix";
}  // namespace tag

/// A gauge of this value says that there is no limit. It prints as Envoy's greatest value, 2^64
/// - 1.
inline constexpr int64_t kNoLimit = INT64_MAX;

enum class Type { kCounter, kGauge, kHistogram, kTextReadout };

using Tags =
    std::vector<std::pair<std::string, std::string>>;  // name ("envoy.cluster_name"), value

/// A metric as it is registered.
struct Metric {
  Type type = Type::kCounter;
  std::string name;         // "cluster.dfp.upstream_rq_200"
  std::string tagged_name;  // without the segments that are tags: "cluster.upstream_rq"
  Tags tags;                // {"envoy.cluster_name", "dfp"}, {"envoy.response_code", "200"}
  Counter counter;
  bool was_used = false;  // the counter, before it was reset
  Gauge gauge;
  Histogram histogram;
  const std::vector<double>* bounds = nullptr;  // of a histogram's buckets, ascending
  std::string text;
  HistogramSnapshot at_flush;  // histograms: the counts at the last Flush()
  HistogramSnapshot interval;  // and between the last two
};

/// What a request to /stats asks for. Values are as in the URL's query, already unescaped.
struct StatsQuery {
  bool used_only = false;
  bool text_readouts =
      false;  // Prometheus: text readouts too, as gauges of value 0 with a label text_value
  std::string filter = {};     // RE2, found anywhere in the full name; empty: all
  bool invert_filter = false;  // what the filter does not match
  std::string type = "All";    // Counters, Gauges, Histograms, TextReadouts, All
  std::string histogram_buckets =
      {};  // "", "none", "summary" (the percentiles), "cumulative", "disjoint", "detailed"
  std::string names =
      {};  // of the Prometheus page: "", "envoy", "prometheus" (as its conventions are)
};

struct StoreSettings;

class Scope;

/// All metrics of a server. Created once; it must outlive its scopes. Thread safe, one mutex.
class Store {
 public:
  Store();
  explicit Store(StoreSettings settings);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The scope of names without a prefix.
  Scope Root();

  /// Forgets every metric called `prefix` or `prefix.*` and gives its slots back. Nobody may count
  /// on a handle of them any more: remove a cluster's stats only when no worker holds the cluster
  /// and no new one has taken its name.
  void Remove(std::string_view prefix);

  /// Sets all counters to 0 (POST /reset_counters). They stay among those that were used.
  void ResetCounters();

  /// Closes the current interval of all histograms: what /stats prints first in each pair, as in
  /// `P50(1,3)`, is the interval before the last call, NaN if nothing was recorded in it. Call
  /// every stats_flush_interval (5 s).
  void Flush();

  /// Look-ups of metrics by name since the last ForgetLookUps().
  struct LookUps {
    bool recorded = false;
    uint64_t total = 0;
    std::map<std::string, uint64_t> counts;  // those made while they were recorded
  };
  LookUps RecentLookUps() const;
  /// Whether look-ups are recorded from now on; off also drops the counts. Any thread.
  void RecordLookUps(bool record);
  /// Sets total and counts to nothing. Any thread.
  void ForgetLookUps();

  /// Calls `visit` for every metric, in the order of the names, under the mutex: it must not call
  /// the store.
  template <class Visitor>
  void Visit(Visitor visit) const {
    std::lock_guard lock(mutex_);
    for (const auto& [key, metric] : metrics_) {
      visit(static_cast<const Metric&>(*metric));
    }
  }

  /// The value of the counter or gauge with this full name, 0 if there is none: for tests and for
  /// the admin.
  int64_t Value(std::string_view name) const;

  /// GET /stats: sorted `name: value` lines. InvalidArgument with Envoy's text for a bad filter or
  /// type.
  absl::StatusOr<std::string> StatsText(const StatsQuery& query) const;
  /// GET /stats?format=json: {"stats":[{"name":..,"value":..},...,{"histograms":{...}}]}.
  absl::StatusOr<std::string> StatsJson(const StatsQuery& query) const;
  /// GET /stats/prometheus: text exposition format 0.0.4.
  absl::StatusOr<std::string> StatsPrometheus(const StatsQuery& query) const;

 private:
  friend class Scope;
  using Key = std::pair<std::string, Type>;

  // Null when the settings keep no such metric.
  Metric* Find(Type type, std::string_view prefix, std::string_view marked_prefix, const Tags& tags,
               std::string_view name);

  bool Extracts(std::string_view tag) const;
  void AddCustomTags(const std::string& name, std::string* marked, Tags* tags) const;

  const std::unique_ptr<const StoreSettings> settings_;
  mutable std::mutex mutex_;
  std::map<Key, std::unique_ptr<Metric>> metrics_;
  LookUps lookups_;
};

/// A store plus a dotted prefix and its tags. Cheap to copy (one shared prefix). Main thread.
class Scope {
 public:
  /// The scope of `segment` below this one (`segment` may have dots). `:` becomes `_`, as in
  /// Envoy's names.
  Scope Sub(std::string_view segment) const;
  /// The same, and the segment is the value of a tag: store.Root().Sub("cluster").Sub(name,
  /// tag::kClusterName).
  Scope Sub(std::string_view segment, std::string_view tag_name) const;

  /// The metric `name` in this scope, made on the first call; a handle that nobody reads where the
  /// settings keep no such metric. A name that ends in `_rq_NNN` or `_rq_Nxx` also gets the tag
  /// envoy.response_code or envoy.response_code_class.
  Counter counter(std::string_view name) const;
  Gauge gauge(std::string_view name) const;
  Histogram histogram(std::string_view name) const;
  /// Sets the text that is printed under `name`.
  void text_readout(std::string_view name, std::string_view value) const;

  /// The full prefix without the last dot ("cluster.dfp"), for Store::Remove. Empty for the root.
  const std::string& prefix() const;
  Store& store() const { return *store_; }

 private:
  friend class Store;
  struct Prefix {
    std::string full;
    std::string marked;  // the same with every byte NUL that a tag took
    Tags tags;
  };
  Scope(Store* store, std::shared_ptr<const Prefix> prefix)
      : store_(store), prefix_(std::move(prefix)) {}

  Store* store_;
  std::shared_ptr<const Prefix> prefix_;
};

/// The metric of that kind, for lists of (kind, name): Make(scope, "cx_total", Counter{}).
inline Counter Make(const Scope& scope, std::string_view name, Counter) {
  return scope.counter(name);
}
inline Gauge Make(const Scope& scope, std::string_view name, Gauge) {
  return scope.gauge(name);
}
inline Histogram Make(const Scope& scope, std::string_view name, Histogram) {
  return scope.histogram(name);
}

}  // namespace sluice::stats
