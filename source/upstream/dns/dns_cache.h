// DnsCache: the shared cache of resolved names behind dynamic forward proxying. All resolving
// happens on the main worker; each worker finds what was published to it in a map of its own, so
// that a hit takes no lock, and writes nothing shared but when the host was last used, once a
// second at most.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "source/async/scope.h"
#include "source/async/worker.h"
#include "source/base/strings.h"
#include "source/net/resolver.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/dns/dns_host.h"
#include "source/upstream/dns/dns_options.h"
#include "source/upstream/dns/dns_store.h"
#include "source/upstream/dns/pending_breaker.h"

namespace sluice {

namespace config {
class Runtime;
}
class DnsHostUses;
class DnsRuntime;

/// Told of every change. A cluster registers one to make endpoints and to drop connection pools.
class DnsCacheObserver {
 public:
  virtual ~DnsCacheObserver() = default;
  /// Main thread, before any worker can see this version: a host has its first outcome, or another
  /// address list.
  virtual void OnHostChanged(const ResolvedHostPtr& host) {}
  /// Main thread: the host is no longer in the cache; workers may still see it for a moment.
  virtual void OnHostRemoved(const ResolvedHostPtr& host) {}
  /// Worker thread: this worker does not find `host` (this version of it) any more; `next` took its
  /// place, null when it was removed.
  virtual void OnWorkerDropped(int worker, const ResolvedHost& host, const ResolvedHost* next) {}
};

class DnsCache {
 public:
  /// Main thread. `resolver` and `main` must outlive the cache; metrics are registered under
  /// dns_cache.<name>. `runtime` may change settings (dns_runtime.h); null: nothing does.
  DnsCache(DnsCacheOptions options, Resolver& resolver, Worker& main, size_t workers,
           stats::Store& stats, config::Runtime* runtime = nullptr);
  /// After the loops of main and of all workers have ended.
  ~DnsCache();
  DnsCache(const DnsCache&) = delete;
  DnsCache& operator=(const DnsCache&) = delete;

  // ---- Any worker's thread.

  /// The host of a request's authority, when no waiting is needed. Null: it is not known here, call
  /// Resolve(). The result is this worker's until it suspends; copy the HostRef to keep it. Counts
  /// as a use of the host. Errors, in this order: kDnsPendingOverflow when max_pending_requests are
  /// pending (also for what is cached), kEmptyHost, kDnsFailure with Misformatted_domain_name or
  /// with the outcome that is cached.
  absl::StatusOr<const HostRef*> Find(int worker, std::string_view authority,
                                      uint16_t default_port);

  /// The same, waiting for the look-up where it is needed. Holds one unit of max_pending_requests
  /// while it waits. More errors: kDnsCacheOverflow (max_hosts), kCancelled.
  Task<absl::StatusOr<HostRef>> Resolve(Worker& worker, std::string authority,
                                        uint16_t default_port);

  const std::string& name() const { return options_.name; }
  DnsCacheOptions::AddressPolicy address_policy() const { return options_.address_policy; }

  // ---- Main thread.

  /// Those in force: what the runtime does not change is as configured.
  const DnsCacheSettings& settings() const { return options_; }
  /// Takes over what the runtime says now, for all that is decided from here on.
  void OnRuntimeChanged();
  /// Brings the statistics up to date that are computed when somebody looks.
  void RefreshStats();

  /// Begins: remembers where to publish and resolves the configured names. `workers` must outlive
  /// the cache.
  void Start(const std::vector<std::unique_ptr<Worker>>& workers);

  /// From now on `observer` hears of changes, as long as it lives. It is told at once of the hosts
  /// that exist.
  void AddObserver(std::weak_ptr<DnsCacheObserver> observer);

  /// One line of the admin's views.
  struct HostView {
    ResolvedHostPtr host;  // null while the first look-up runs
    std::string key;
    std::chrono::seconds ttl{};  // of the last answer with addresses
    TimePoint last_used;
    bool resolving = false;
    uint32_t failures = 0;               // look-ups in a row that brought no address
    std::string last_failure;            // of the latest look-up that brought none; empty: none did
    TimePoint refresh_at;                // when it is looked up again
    std::shared_ptr<const HostUse> use;  // of the name, whatever the port; null: not counted
  };
  /// All hosts, ordered by key.
  std::vector<HostView> Hosts() const;

  /// Forgets a host ("name:port" or, for all its ports, "name"), or with an empty text all of them,
  /// so that the next request looks it up. Not those that are being looked up now. How many.
  size_t Flush(std::string_view host);

 private:
  struct Entry;   // main thread: a host
  struct Waiter;  // worker: one suspended Resolve()
  struct Local;   // worker: its map and its waiters
  struct Metrics;

  // Worker side.
  Task<absl::StatusOr<HostRef>> Await(Worker& worker, DnsKey key);
  void Accept(int worker, const ResolvedHostPtr& host);
  void Drop(int worker, const std::string& key);
  void Refuse(int worker, const std::string& key, const absl::Status& status);
  static void Wake(Local& local, std::string_view key, const absl::StatusOr<HostRef>& result);

  // Main side.
  void Load(const DnsKey& key, int worker);
  bool MakeRoom();
  void Evict(size_t wanted);
  void Restore();
  void Store(const Entry& entry, const DnsAnswer& answer);
  static Task<> FlushStore(DnsCache& cache);
  Entry& Add(const DnsKey& key);
  void Refresh(Entry& entry);
  Task<> Look(Entry& entry);
  void Finish(Entry& entry, DnsAnswer answer);
  void Filter(DnsAnswer& answer) const;
  void Count(const DnsAnswer& answer) const;
  bool Apply(Entry& entry, const DnsAnswer& answer);
  void Publish(Entry& entry, const DnsAnswer& answer);
  Duration UntilRefresh(Entry& entry, const DnsAnswer& answer);
  void Arm(Entry& entry);
  void OnAlarm(Entry& entry);
  void Remove(Entry& entry);
  void PostToAll(const std::function<void(int worker)>& call);

  // Its DnsCacheSettings are the main thread's, which may change them; workers read others.
  DnsCacheOptions options_;
  const std::unique_ptr<const DnsRuntime> runtime_;
  Resolver& resolver_;
  Worker& main_;
  const std::unique_ptr<const Metrics> metrics_;
  PendingBreaker breaker_;

  // Each touched by its own worker only.
  std::vector<std::unique_ptr<Local>> locals_;

  // Main thread.
  const std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
  absl::flat_hash_map<std::string, std::unique_ptr<Entry>, StringHash, StringEq> entries_;
  std::vector<uint32_t> free_slots_;
  std::vector<std::weak_ptr<DnsCacheObserver>> observers_;
  std::unique_ptr<DnsStore> store_;          // null: none
  const std::unique_ptr<DnsHostUses> uses_;  // null: hosts are not counted one by one
};

}  // namespace sluice
