// The workers' side of the DNS cache: finding, waiting, and taking what the main thread publishes.
// Worker threads, each with its own Local.
#include "source/upstream/dns/dns_cache_local.h"

namespace sluice {

absl::StatusOr<const HostRef*> DnsCache::Find(int worker, std::string_view authority,
                                              uint16_t default_port) {
  if (breaker_.is_open()) {
    metrics_->pending_overflow.Add();
    return MakeError(Reason::kDnsPendingOverflow);
  }
  if (authority.empty()) return MakeError(Reason::kEmptyHost);
  const std::optional<DnsKey> key = DnsKey::Parse(authority, default_port);
  if (!key.has_value()) return MakeError(Reason::kDnsFailure, kBadNameDetails);
  const auto& hosts = locals_[worker]->hosts;
  const auto it = hosts.find(key->text());
  if (it == hosts.end()) return nullptr;
  it->second->Touch(Now());
  if (!it->second->is_resolved()) return it->second->status();
  return &it->second;
}

Task<absl::StatusOr<HostRef>> DnsCache::Resolve(Worker& worker, std::string authority,
                                                uint16_t default_port) {
  const absl::StatusOr<const HostRef*> found = Find(worker.index(), authority, default_port);
  if (!found.ok()) co_return found.status();
  if (*found != nullptr) co_return **found;
  const PendingBreaker::Unit unit(breaker_);
  if (!unit) {
    metrics_->pending_overflow.Add();
    co_return MakeError(Reason::kDnsPendingOverflow);
  }
  co_return co_await Await(worker, *DnsKey::Parse(authority, default_port));
}

Task<absl::StatusOr<HostRef>> DnsCache::Await(Worker& worker, DnsKey key) {
  if (co_await kIsCancelled) co_return MakeError(Reason::kCancelled);
  Local& local = *locals_[worker.index()];
  Waiter waiter;
  auto [it, is_first] = local.waiters.try_emplace(std::string(key.text()));
  it->second.push_back(&waiter);
  // One message for all who wait here for this host; the main thread coalesces those of several
  // workers.
  if (is_first) main_.Post([this, key, index = worker.index()] { Load(key, index); });
  co_await waiter.done.Wait();
  if (!waiter.done.is_set()) {
    // Cancelled. The key stays while others wait; without them the answer finds nobody.
    it = local.waiters.find(key.text());
    std::erase(it->second, &waiter);
    if (it->second.empty()) local.waiters.erase(it);
    co_return MakeError(Reason::kCancelled);
  }
  co_return std::move(waiter.result);
}

void DnsCache::Wake(Local& local, std::string_view key, const absl::StatusOr<HostRef>& result) {
  const auto it = local.waiters.find(key);
  if (it == local.waiters.end()) return;
  const std::vector<Waiter*> waiters = std::move(it->second);
  local.waiters.erase(it);
  for (Waiter* waiter : waiters) {
    waiter->result = result;
    waiter->done.Set();  // Runs it from the loop, not from here.
  }
}

void DnsCache::Accept(int worker, const ResolvedHostPtr& host) {
  Local& local = *locals_[worker];
  HostRef& place = local.hosts[host->key];
  const HostRef before = std::exchange(place, HostRef(host));
  const HostRef after = place;
  for (const auto& weak : local.observers) {
    const auto observer = weak.lock();
    if (observer != nullptr && before) observer->OnWorkerDropped(worker, *before, after.get());
  }
  if (host->is_resolved()) {
    Wake(local, host->key, after);
  } else {
    Wake(local, host->key, host->status());
  }
}

void DnsCache::Drop(int worker, const std::string& key) {
  Local& local = *locals_[worker];
  const auto it = local.hosts.find(key);
  if (it == local.hosts.end()) return;
  const HostRef before = std::move(it->second);
  local.hosts.erase(it);
  for (const auto& weak : local.observers) {
    if (const auto observer = weak.lock()) observer->OnWorkerDropped(worker, *before, nullptr);
  }
}

void DnsCache::Refuse(int worker, const std::string& key, const absl::Status& status) {
  Wake(*locals_[worker], key, status);
}

}  // namespace sluice
