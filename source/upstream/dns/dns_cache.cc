// The main thread's side of the DNS cache: look-ups, their timing, what is kept and what is
// published.
#include "source/upstream/dns/dns_cache.h"

#include <algorithm>
#include <numeric>

#include "source/base/log.h"
#include "source/upstream/dns/dns_cache_local.h"
#include "source/upstream/dns/dns_host_uses.h"
#include "source/upstream/dns/dns_runtime.h"

namespace sluice {
namespace {

// Uses of a host are noted this often; more often where hosts are forgotten sooner.
constexpr Duration kTouchStep = std::chrono::seconds(1);

stats::Scope CacheScope(stats::Store& stats, const std::string& name) {
  return stats.Root().Sub("dns_cache").Sub(name);
}

// Servers rotate their answers: the same addresses in another order are not a change.
bool SameSet(const std::vector<Address>& a, const std::vector<Address>& b) {
  return a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin());
}

int64_t Nanoseconds(TimePoint time) {
  return time.time_since_epoch().count();
}

int64_t TouchStep(const DnsCacheSettings& settings) {
  return std::min(kTouchStep, settings.host_ttl / 8).count();
}

std::unique_ptr<DnsHostUses> MakeUses(const DnsCacheOptions& options, const stats::Scope& scope,
                                      size_t workers) {
  if (!options.per_host.has_value() && options.max_host_stats == 0) return nullptr;
  return std::make_unique<DnsHostUses>(scope.Sub("host"), workers, options.max_host_stats);
}

}  // namespace

DnsCache::DnsCache(DnsCacheOptions options, Resolver& resolver, Worker& main, size_t workers,
                   stats::Store& stats, config::Runtime* runtime)
    : options_(std::move(options)),
      runtime_(std::make_unique<const DnsRuntime>(options_, runtime)),
      resolver_(resolver),
      main_(main),
      metrics_(std::make_unique<const Metrics>(CacheScope(stats, options_.name),
                                               options_.evict_when_full)),
      breaker_(options_.max_pending_requests, metrics_->pending_open, metrics_->pending_remaining),
      uses_(MakeUses(options_, CacheScope(stats, options_.name), workers)) {
  for (size_t i = 0; i < workers; ++i) locals_.push_back(std::make_unique<Local>());
  OnRuntimeChanged();
  if (options_.store.has_value()) store_ = std::make_unique<DnsStore>(*options_.store);
}

DnsCache::~DnsCache() = default;

void DnsCache::OnRuntimeChanged() {
  static_cast<DnsCacheSettings&>(options_) = runtime_->Read();
  breaker_.SetLimit(options_.max_pending_requests);
  if (uses_ != nullptr && options_.per_host.has_value()) {
    uses_->SetLimits(options_.per_host->max_connections, options_.per_host->max_pending_requests,
                     options_.per_host->max_requests);
  }
  if (options_.evict_when_full && entries_.size() > options_.max_hosts)
    Evict(entries_.size() - options_.max_hosts);
  for (const auto& [key, entry] : entries_) {
    entry->activity->step_ns.store(TouchStep(options_), std::memory_order_relaxed);
    if (!entry->resolving) Arm(*entry);
  }
}

void DnsCache::RefreshStats() {
  breaker_.RefreshGauges();
  if (uses_ != nullptr) uses_->Refresh();
}

void DnsCache::Start(const std::vector<std::unique_ptr<Worker>>& workers) {
  workers_ = &workers;
  Restore();
  for (const DnsCacheOptions::HostPort& host : options_.preresolve) {
    const auto key = DnsKey::Of(host.host, host.port);
    if (key.has_value() && !entries_.contains(key->text())) Refresh(Add(*key));
  }
}

void DnsCache::AddObserver(std::weak_ptr<DnsCacheObserver> observer) {
  const auto is_gone = [](const std::weak_ptr<DnsCacheObserver>& weak) { return weak.expired(); };
  std::erase_if(observers_, is_gone);
  observers_.push_back(observer);
  const auto strong = observer.lock();
  for (const auto& [key, entry] : entries_) {
    if (strong != nullptr && entry->host != nullptr) strong->OnHostChanged(entry->host);
  }
  const auto add = [this, observer, is_gone](int worker) {
    std::erase_if(locals_[worker]->observers, is_gone);
    locals_[worker]->observers.push_back(observer);
  };
  if (workers_ != nullptr) return PostToAll(add);
  for (size_t i = 0; i < locals_.size(); ++i) add(static_cast<int>(i));  // No worker runs yet.
}

std::vector<DnsCache::HostView> DnsCache::Hosts() const {
  std::vector<HostView> views;
  for (const auto& [key, entry] : entries_) {
    const TimePoint last_used(
        Duration(entry->activity->last_used_ns.load(std::memory_order_relaxed)));
    views.push_back({entry->host, key, entry->ttl, last_used, entry->resolving, entry->failures,
                     entry->last_failure, entry->refresh_at, entry->use});
  }
  std::sort(views.begin(), views.end(),
            [](const HostView& a, const HostView& b) { return a.key < b.key; });
  return views;
}

void DnsCache::PostToAll(const std::function<void(int worker)>& call) {
  if (workers_ == nullptr) return;
  for (const auto& worker : *workers_) {
    worker->Post([call, index = worker->index()] { call(index); });
  }
}

void DnsCache::Load(const DnsKey& key, int worker) {
  // What is known was published before this message came, what is being looked up will be.
  if (const auto it = entries_.find(key.text()); it != entries_.end()) {
    it->second->activity->last_used_ns.store(Nanoseconds(Now()), std::memory_order_relaxed);
    return;
  }
  if (entries_.size() >= options_.max_hosts && !(options_.evict_when_full && MakeRoom())) {
    metrics_->host_overflow.Add();
    (*workers_)[worker]->Post([this, worker, text = std::string(key.text())] {
      Refuse(worker, text, MakeError(Reason::kDnsCacheOverflow));
    });
    return;
  }
  Refresh(Add(key));
}

// Several at once, so that a scan of all hosts serves many new names. False when there is still no
// room for one more.
bool DnsCache::MakeRoom() {
  const size_t too_many = entries_.size() + 1 - options_.max_hosts;
  Evict(std::max<size_t>(too_many, options_.max_hosts / 64));
  return entries_.size() < options_.max_hosts;
}

// Lets the hosts go that were not used for longest, but for those that are being looked up.
void DnsCache::Evict(size_t wanted) {
  std::vector<Entry*> oldest;
  for (const auto& [key, entry] : entries_) {
    if (!entry->resolving) oldest.push_back(entry.get());
  }
  const size_t count = std::min(oldest.size(), wanted);
  const auto last_used = [](const Entry* entry) {
    return entry->activity->last_used_ns.load(std::memory_order_relaxed);
  };
  std::partial_sort(oldest.begin(), oldest.begin() + static_cast<std::ptrdiff_t>(count),
                    oldest.end(),
                    [&](const Entry* a, const Entry* b) { return last_used(a) < last_used(b); });
  for (size_t i = 0; i < count; ++i) {
    metrics_->host_evicted.Add();
    Remove(*oldest[i]);
  }
}

size_t DnsCache::Flush(std::string_view host) {
  std::vector<Entry*> flushed;
  for (const auto& [key, entry] : entries_) {
    if (entry->resolving) continue;
    if (host.empty() || key == host || entry->key.host() == host) flushed.push_back(entry.get());
  }
  for (Entry* entry : flushed) Remove(*entry);
  return flushed.size();
}

DnsCache::Entry& DnsCache::Add(const DnsKey& key) {
  uint32_t slot = static_cast<uint32_t>(entries_.size());
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  auto entry = std::make_unique<Entry>(*this, key, slot);
  entry->activity->step_ns.store(TouchStep(options_), std::memory_order_relaxed);
  if (uses_ != nullptr) entry->use = uses_->Enter(std::string(key.host()));
  entry->activity->last_used_ns.store(Nanoseconds(Now()), std::memory_order_relaxed);
  metrics_->host_added.Add();
  metrics_->num_hosts.Add();
  return *(entries_[std::string(key.text())] = std::move(entry));
}

void DnsCache::Refresh(Entry& entry) {
  entry.resolving = true;
  metrics_->query_attempt.Add();
  main_.scope().Spawn(Look(entry));
}

Task<> DnsCache::Look(Entry& entry) {
  // An entry that resolves is never removed, and the cache outlives the main loop.
  DnsAnswer answer = co_await resolver_.Resolve(std::string(entry.key.host()), options_.family,
                                                options_.query_timeout);
  if (answer.outcome != DnsAnswer::Outcome::kCancelled) Finish(entry, std::move(answer));
}

void DnsCache::Filter(DnsAnswer& answer) const {
  const size_t dropped = std::erase_if(answer.addresses, [this](const AddressWithTtl& a) {
    return options_.address_filter.Matches(a.address);
  });
  metrics_->address_filter_out.Add(dropped);
  if (dropped == 0 || answer.has_addresses()) return;
  answer.outcome = DnsAnswer::Outcome::kFailed;
  answer.details = "address_denied";
}

void DnsCache::Count(const DnsAnswer& answer) const {
  if (answer.outcome == DnsAnswer::Outcome::kCompleted) return metrics_->query_success.Add();
  metrics_->query_failure.Add();
  if (answer.outcome == DnsAnswer::Outcome::kTimedOut) metrics_->query_timeout.Add();
}

void DnsCache::Finish(Entry& entry, DnsAnswer answer) {
  entry.resolving = false;
  Filter(answer);
  Count(answer);
  if (answer.has_addresses()) {
    entry.failures = 0;
  } else {
    ++entry.failures;
    entry.last_failure = answer.details;
  }
  const bool is_known = entry.host != nullptr && entry.host->is_resolved();
  if (options_.disable_refresh_on_failure && answer.outcome != DnsAnswer::Outcome::kCompleted &&
      !is_known) {
    // Those who wait are told; the next request asks again. A host that has an address is refreshed
    // as ever.
    PostToAll([this, key = std::string(entry.key.text()), details = answer.details](int worker) {
      Refuse(worker, key, MakeError(Reason::kDnsFailure, details));
    });
    return Remove(entry);
  }
  if (Apply(entry, answer)) Publish(entry, answer);
  if (answer.has_addresses()) Store(entry, answer);
  entry.refresh_at = Now() + UntilRefresh(entry, answer);
  Arm(entry);
}

bool DnsCache::Apply(Entry& entry, const DnsAnswer& answer) {
  if (!answer.has_addresses()) {
    // An address outlives later failures; of failures the latest is told.
    return entry.host == nullptr ||
           (!entry.host->is_resolved() && entry.host->details != answer.details);
  }
  entry.ttl = answer.addresses.front().ttl;
  std::vector<Address> addresses;
  for (const AddressWithTtl& a : answer.addresses)
    addresses.push_back(a.address.WithPort(entry.key.port()));
  if (entry.host != nullptr && SameSet(entry.host->addresses, addresses)) return false;
  metrics_->host_address_changed.Add();
  return true;
}

void DnsCache::Publish(Entry& entry, const DnsAnswer& answer) {
  auto host = std::make_shared<ResolvedHost>();
  host->key = std::string(entry.key.text());
  host->name = std::string(entry.key.host());
  host->port = entry.key.port();
  host->is_ip_literal = entry.key.is_ip_literal();
  host->slot = entry.slot;
  host->activity = entry.activity;
  host->use = entry.use;
  host->details = answer.details;
  for (const AddressWithTtl& a : answer.addresses)
    host->addresses.push_back(a.address.WithPort(host->port));
  entry.host = host;
  for (const auto& weak : observers_) {
    if (const auto observer = weak.lock()) observer->OnHostChanged(host);
  }
  PostToAll([this, host = ResolvedHostPtr(host)](int worker) { Accept(worker, host); });
}

// What an earlier process knew counts until it is looked up again, at the end of its TTL.
void DnsCache::Restore() {
  if (store_ == nullptr) return;
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(WallNow().time_since_epoch()).count();
  for (const auto& [text, host] : store_->hosts()) {
    const auto key = DnsKey::Parse(text, 0);
    if (!key.has_value() || entries_.contains(key->text())) continue;
    if (entries_.size() >= options_.max_hosts) break;
    DnsAnswer answer{DnsAnswer::Outcome::kCompleted, std::string(kResolvedDetails), host.addresses};
    Filter(answer);
    if (!answer.has_addresses()) continue;
    Entry& entry = Add(*key);
    metrics_->cache_load.Add();
    if (Apply(entry, answer)) Publish(entry, answer);
    const std::chrono::seconds age(std::max<int64_t>(now - host.resolved_at, 0));
    entry.refresh_at = Now() + std::max<Duration>(entry.ttl - age, Duration::zero());
    Arm(entry);
  }
  main_.Post([this] { main_.scope().Spawn(FlushStore(*this)); });
}

void DnsCache::Store(const Entry& entry, const DnsAnswer& answer) {
  if (store_ == nullptr) return;
  DnsStore::Host host;
  for (const AddressWithTtl& a : answer.addresses)
    host.addresses.push_back({a.address.WithPort(entry.key.port()), a.ttl});
  host.resolved_at =
      std::chrono::duration_cast<std::chrono::seconds>(WallNow().time_since_epoch()).count();
  store_->Put(std::string(entry.key.text()), std::move(host));
  if (store_->options().flush_interval > Duration::zero()) return;
  if (const absl::Status status = store_->Flush(); !status.ok())
    SLUICE_LOG(kWarning, kForwardProxy, Std(status.message()));
}

Task<> DnsCache::FlushStore(DnsCache& cache) {
  // What is written at once needs no timer; the destructor writes what is left.
  const Duration interval = cache.store_->options().flush_interval;
  while (interval > Duration::zero() && co_await Sleep(interval)) {
    if (const absl::Status status = cache.store_->Flush(); !status.ok())
      SLUICE_LOG(kWarning, kForwardProxy, Std(status.message()));
  }
}

Duration DnsCache::UntilRefresh(Entry& entry, const DnsAnswer& answer) {
  if (answer.outcome != DnsAnswer::Outcome::kCompleted) {
    if (options_.failure_refresh.base <= Duration::zero()) return options_.refresh_rate;
    return entry.backoff.Next(options_.failure_refresh, main_.rng());
  }
  entry.backoff.Reset();
  const Duration wish =
      answer.has_addresses() ? Duration(answer.addresses.front().ttl) : options_.refresh_rate;
  // A name without records is asked for at the configured rate, even where that is below the floor
  // for TTLs.
  return answer.has_addresses() ? std::max(wish, options_.min_refresh_rate) : wish;
}

void DnsCache::Arm(Entry& entry) {
  // At the end of an unused host's time or when it is due, whichever comes first: a long TTL must
  // not keep a host that nobody uses.
  const TimePoint last_used(Duration(entry.activity->last_used_ns.load(std::memory_order_relaxed)));
  main_.wheel().Arm(entry, std::min(entry.refresh_at, last_used + options_.host_ttl) - Now());
}

void DnsCache::OnAlarm(Entry& entry) {
  const TimePoint now = Now();
  const TimePoint last_used(Duration(entry.activity->last_used_ns.load(std::memory_order_relaxed)));
  if (now - last_used >= options_.host_ttl) return Remove(entry);
  if (now < entry.refresh_at) return Arm(entry);
  Refresh(entry);
}

void DnsCache::Remove(Entry& entry) {
  metrics_->num_hosts.Sub();
  metrics_->host_removed.Add();
  free_slots_.push_back(entry.slot);
  const auto it = entries_.find(entry.key.text());
  const std::unique_ptr<Entry> removed = std::move(it->second);
  entries_.erase(it);
  if (store_ != nullptr) store_->Remove(std::string(removed->key.text()));
  removed->use = nullptr;
  if (uses_ != nullptr) uses_->Leave(removed->key.host());
  if (removed->host == nullptr) return;  // No worker has seen it.
  for (const auto& weak : observers_) {
    if (const auto observer = weak.lock()) observer->OnHostRemoved(removed->host);
  }
  PostToAll([this, key = std::string(removed->key.text())](int worker) { Drop(worker, key); });
}

}  // namespace sluice
