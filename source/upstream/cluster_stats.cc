// Registration of a cluster's metrics. Main thread, but for code counters that are made on first
// sight.
#include "source/upstream/cluster_stats.h"

#include "source/base/strings.h"

namespace sluice {
CodeCounters::CodeCounters(const stats::Scope& scope, std::string_view prefix)
    : scope_(scope), prefix_(prefix), completed_(scope.counter(Cat(prefix, "completed"))) {
  for (int i = 1; i <= 5; ++i) classes_[i] = scope.counter(Cat(prefix, i, "xx"));
}

void CodeCounters::Count(int status) const {
  if (status < 100 || status > 599) return;
  completed_.Add();
  classes_[status / 100].Add();
  std::atomic<uint32_t>& index = codes_[status];
  if (index.load(std::memory_order_acquire) == 0) {
    index.store(scope_.counter(Cat(prefix_, status)).index, std::memory_order_release);
  }
  Counter{index.load(std::memory_order_relaxed)}.Add();
}

AnswerStats::AnswerStats(const stats::Scope& cluster, std::string_view name)
    : name(name),
      codes(cluster.Sub(name), "upstream_rq_"),
      upstream_rq_time(cluster.Sub(name).histogram("upstream_rq_time")) {}

AnswerKinds::Alternative::Alternative(const stats::Scope& cluster, std::string_view name)
    : all(cluster, name),
      internal(cluster, Cat(name, ".internal")),
      external(cluster, Cat(name, ".external")) {}

const AnswerStats& AnswerKinds::Get(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  auto& kind = kinds_[name];
  if (kind == nullptr) kind = std::make_unique<const AnswerStats>(cluster_, name);
  return *kind;
}

const AnswerStats& AnswerKinds::Canary() const {
  const AnswerStats* found = canary_.load(std::memory_order_acquire);
  if (found == nullptr) {
    found = &Get("canary");
    canary_.store(found, std::memory_order_release);
  }
  return *found;
}

const AnswerKinds::Alternative* AnswerKinds::GetAlternative(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = alternatives_.find(name);
  if (found != alternatives_.end()) return found->second.get();
  if (alternatives_.size() >= kMostNames || name.size() > kLongestName) return nullptr;
  auto made = std::make_unique<const Alternative>(cluster_, name);
  return alternatives_.emplace(name, std::move(made)).first->second.get();
}

ClusterStats::ClusterStats(const stats::Scope& s)
    :
#define SLUICE_MAKE(kind, name) name(stats::Make(s, #name, kind{})),
      SLUICE_CLUSTER_STATS(SLUICE_MAKE)
#undef SLUICE_MAKE
          codes(s, "upstream_rq_"),
      retry_codes(s.Sub("retry"), "upstream_rq_"),
      internal(s, "internal"),
      external(s, "external"),
      kinds(s),
      scope(s) {
  // They stand at zero: there is no local cluster, and HTTP/2 and 3 and early data are not spoken.
  for (const std::string_view name :
       {"lb_local_cluster_not_ok", "lb_recalculate_zone_structures", "lb_zone_cluster_too_small",
        "lb_zone_no_capacity_left", "lb_zone_routing_all_directly", "lb_zone_routing_cross_zone",
        "lb_zone_routing_sampled", "upstream_cx_connect_with_0_rtt", "upstream_cx_http2_total",
        "upstream_cx_http3_total", "upstream_http3_broken", "upstream_rq_0rtt",
        "upstream_rq_rx_reset_no_error"})
    s.counter(name);
  // Of the codec. They stand at zero: the headers of responses are left as they are, and the rest
  // is HTTP/2's.
  for (const std::string_view name :
       {"dropped_headers_with_underscores", "metadata_not_supported_error",
        "requests_rejected_with_underscores_in_headers", "response_flood"})
    s.Sub("http1").counter(name);
}

ClusterStats::Breaker::Breaker(const stats::Scope& s, bool track_remaining)
    : cx_open(s.gauge("cx_open")),
      cx_pool_open(s.gauge("cx_pool_open")),
      rq_pending_open(s.gauge("rq_pending_open")),
      rq_open(s.gauge("rq_open")),
      rq_retry_open(s.gauge("rq_retry_open")) {
  if (!track_remaining) return;
  remaining_cx = s.gauge("remaining_cx");
  remaining_cx_pools = s.gauge("remaining_cx_pools");
  remaining_pending = s.gauge("remaining_pending");
  remaining_rq = s.gauge("remaining_rq");
  remaining_retries = s.gauge("remaining_retries");
}

}  // namespace sluice
