// Endpoints from connections. See original_dst_cluster.h for the threads.
#include "source/upstream/original_dst_cluster.h"

#include "source/base/reason.h"
#include "source/upstream/conn_pool.h"

namespace sluice {
namespace {

std::string KeyOf(const Address& address, const EgressGuard* guard) {
  std::string key(reinterpret_cast<const char*>(address.data()), address.size());
  key.append(reinterpret_cast<const char*>(&guard), sizeof(guard));
  return key;
}

// What a client names as its destination.
absl::StatusOr<Address> ParseDestination(std::string_view text) {
  if (text.find('%') != std::string_view::npos) return Invalid("an interface of ours");
  return Address::IpAndPort(text);
}

}  // namespace

OriginalDstCluster::OriginalDstCluster(ClusterSettings settings,
                                       const envoy::config::cluster::v3::Cluster& config,
                                       const stats::Scope& scope, const Dialer& dialer,
                                       size_t workers, Destination destination,
                                       const Egress* egress)
    : Cluster(std::move(settings), config, scope, dialer, workers),
      destination_(std::move(destination)),
      egress_(egress),
      locals_(workers) {}

OriginalDstCluster::~OriginalDstCluster() = default;

absl::StatusOr<Address> OriginalDstCluster::AddressFor(const Exchange& exchange) const {
  Address address = exchange.connection().local;
  const RequestHead* head = exchange.request_head();
  bool is_named = false;
  if (!destination_.header.empty() && head != nullptr) {
    if (const auto value = head->headers.Get(std::string_view(destination_.header))) {
      auto parsed = ParseDestination(*value);
      if (!parsed.ok()) {
        stats().original_dst_host_invalid.Add();
        return MakeError(Reason::kNoHealthyUpstream);
      }
      address = *parsed;
      is_named = true;
    }
  }
  if (!address.is_ip()) return MakeError(Reason::kNoHealthyUpstream);
  if (destination_.port_override == 0) return address;
  // A connection that was not redirected was meant for us; without an override the guard says so.
  if (!is_named && egress_ != nullptr && egress_->own().Contains(address))
    return MakeError(Reason::kNoHealthyUpstream);
  return address.WithPort(destination_.port_override);
}

Task<absl::StatusOr<EndpointPtr>> OriginalDstCluster::Pick(const SendOptions&,
                                                           Exchange& exchange) const {
  const auto address = AddressFor(exchange);
  if (!address.ok()) co_return address.status();
  const EgressGuard* guard = egress_ == nullptr                 ? nullptr
                             : exchange.egress_guard != nullptr ? exchange.egress_guard
                                                                : &egress_->guard();
  const int worker = exchange.worker().index();
  Local& local = locals_[worker];
  if (Now() - local.swept >= destination_.cleanup_interval) Sweep(local, worker);
  Entry& entry = local.entries[KeyOf(*address, guard)];
  entry.last_used = Now();
  if (entry.endpoint != nullptr) co_return entry.endpoint;
  if (guard != nullptr) {
    const auto decision = guard->Decide(address->IpString(), address->port(), {*address});
    if (decision.outcome == EgressGuard::Decision::kDenied) {
      local.entries.erase(KeyOf(*address, guard));
      egress_->stats().CountDenied(decision.rule);
      co_return decision.status();
    }
    const EgressStats& stats = egress_->stats();
    (decision.outcome == EgressGuard::Decision::kReported ? stats.reported : stats.allowed).Add();
    entry.guard = guard->shared_from_this();
  }
  entry.endpoint = Make(*address);
  co_return entry.endpoint;
}

EndpointPtr OriginalDstCluster::Make(const Address& address) const {
  const std::string text = address.ToString();
  std::lock_guard lock(mutex_);
  if (shown_.size() >= sweep_shown_at_) {
    absl::erase_if(shown_, [](const auto& entry) { return entry.second.expired(); });
    sweep_shown_at_ = 2 * shown_.size() + 64;
  }
  std::weak_ptr<const Endpoint>& shown = shown_[text];
  Endpoint::Settings settings;
  settings.addresses = {address};
  const EndpointPtr other = shown.lock();
  auto endpoint = std::make_shared<Endpoint>(
      std::move(settings), other != nullptr ? other->shared_stats() : std::make_shared<HostStats>(),
      workers());
  shown = endpoint;
  return endpoint;
}

// Destinations that were not used since the last sweep go, and their idle connections with them.
void OriginalDstCluster::Sweep(Local& local, int worker) const {
  const TimePoint limit = local.swept;
  local.swept = Now();
  absl::erase_if(local.entries, [&](const auto& entry) {
    if (entry.second.last_used >= limit) return false;
    if (entry.second.endpoint != nullptr) DropPool(*entry.second.endpoint, worker);
    return true;
  });
}

void OriginalDstCluster::DropPools(int worker) const {
  for (const auto& [key, entry] : locals_[worker].entries) {
    if (entry.endpoint != nullptr) DropPool(*entry.endpoint, worker);
  }
  locals_[worker].entries.clear();
}

std::vector<Cluster::HostView> OriginalDstCluster::Hosts() const {
  std::vector<HostView> views;
  std::lock_guard lock(mutex_);
  for (const auto& [text, weak] : shown_) {
    const EndpointPtr endpoint = weak.lock();
    if (endpoint != nullptr)
      views.push_back({text, "", endpoint->shared_stats(), endpoint->settings()});
  }
  return views;
}

}  // namespace sluice
