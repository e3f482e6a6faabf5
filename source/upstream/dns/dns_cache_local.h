// The parts of a DnsCache that its two halves (dns_cache.cc: main thread, dns_cache_worker.cc:
// workers) share. Private to them.
#pragma once

#include <string>
#include <vector>

#include "source/base/reason.h"
#include "source/upstream/dns/dns_cache.h"

namespace sluice {

/// One suspended Resolve(); lives in its frame.
struct DnsCache::Waiter {
  Event done;
  absl::StatusOr<HostRef> result = MakeError(Reason::kInternal, "no DNS answer");
};

/// What one worker knows. Touched by that worker only, once it runs.
struct alignas(64) DnsCache::Local {
  StringMap<HostRef> hosts;
  StringMap<std::vector<Waiter*>> waiters;
  std::vector<std::weak_ptr<DnsCacheObserver>> observers;
};

struct DnsCache::Metrics {
  Metrics(const stats::Scope& scope, bool evicts)
      : cache_load(scope.counter("cache_load")),
        query_attempt(scope.counter("dns_query_attempt")),
        query_failure(scope.counter("dns_query_failure")),
        query_success(scope.counter("dns_query_success")),
        query_timeout(scope.counter("dns_query_timeout")),
        host_added(scope.counter("host_added")),
        host_address_changed(scope.counter("host_address_changed")),
        host_overflow(scope.counter("host_overflow")),
        host_removed(scope.counter("host_removed")),
        pending_overflow(scope.counter("dns_rq_pending_overflow")),
        address_filter_out(scope.counter("dns_address_filter_out")),
        host_evicted(evicts ? scope.counter("host_evicted") : Counter()),
        num_hosts(scope.gauge("num_hosts")),
        pending_open(scope.gauge("circuit_breakers.rq_pending_open")),
        pending_remaining(scope.gauge("circuit_breakers.rq_pending_remaining")) {}

  Counter cache_load, query_attempt, query_failure, query_success, query_timeout, host_added,
      host_address_changed, host_overflow, host_removed, pending_overflow, address_filter_out,
      host_evicted;
  Gauge num_hosts, pending_open, pending_remaining;
};

/// A host on the main thread, with the alarm for its next look-up or its end.
struct DnsCache::Entry final : Timer {
  Entry(DnsCache& cache, const DnsKey& key, uint32_t slot) : cache(cache), key(key), slot(slot) {}
  void OnTimer() override { cache.OnAlarm(*this); }

  DnsCache& cache;
  const DnsKey key;
  const uint32_t slot;
  std::shared_ptr<ResolvedHost::Activity> activity = std::make_shared<ResolvedHost::Activity>();
  std::shared_ptr<HostUse> use;  // null: hosts are not counted one by one
  ResolvedHostPtr host;          // As last published; null before the first outcome.
  std::chrono::seconds ttl{};    // of the last answer with addresses
  Backoff backoff;
  TimePoint refresh_at;
  bool resolving = false;
  uint32_t failures = 0;
  std::string last_failure;
};

}  // namespace sluice
