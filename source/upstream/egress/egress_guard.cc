// Deciding what may be dialled. See egress_guard.h for the threads.
#include "source/upstream/egress/egress_guard.h"

#include <ifaddrs.h>

#include <algorithm>
#include <random>

#include "source/base/reason.h"
#include "source/base/strings.h"

namespace sluice {
namespace {

// Names of metadata services that need not resolve to the address that is known for them.
constexpr std::string_view kMetadataHosts[] = {"metadata.google.internal", "metadata.goog",
                                               "metadata", "instance-data",
                                               "instance-data.ec2.internal"};

constexpr std::string_view kKindNames[] = {
    "", "", "deny_range", "deny_host", "not_allowed_host", "metadata_host", "port", "own_listener"};

// The kernel treats a mapped address as the IPv4 one.
Address Unmapped(const Address& address) {
  if (address.family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address.v6().sin6_addr))
    return address;
  const uint8_t* b = address.v6().sin6_addr.s6_addr + 12;
  return Address::Ipv4(uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3],
                       address.port());
}

bool SameIp(const Address& a, const Address& b) {
  if (a.family() != b.family()) return false;
  if (a.family() == AF_INET) return a.v4().sin_addr.s_addr == b.v4().sin_addr.s_addr;
  return a.family() == AF_INET6 && IN6_ARE_ADDR_EQUAL(&a.v6().sin6_addr, &b.v6().sin6_addr);
}

// Whether the system takes a connection to `address` (unmapped) itself.
bool IsLocal(const Address& address) {
  if (address.is_any() || Classify(address) == AddressClass::kLoopback) return true;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return true;  // Nobody can say: refuse rather than loop.
  bool found = false;
  for (const ifaddrs* entry = list; entry != nullptr && !found; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    found = SameIp(address, Address::From(entry->ifa_addr, size));
  }
  ::freeifaddrs(list);
  return found;
}

absl::StatusOr<CidrRange> Read(const envoy::config::core::v3::CidrRange& config) {
  return CidrRange::Make(config.address_prefix(), config.prefix_len().value());
}

absl::StatusOr<StringMatcher> Read(const envoy::type::matcher::v3::StringMatcher& config) {
  return StringMatcher::Build(config);
}

absl::StatusOr<std::pair<int32_t, int32_t>> Read(const envoy::type::v3::Int32Range& config) {
  if (config.start() >= config.end()) return Invalid("the end must be above the start");
  return std::pair(config.start(), config.end());
}

// The elements of the list at `path`, but for those that cannot be understood, which are reported.
template <class Config, class Element>
void ReadAll(const google::protobuf::RepeatedPtrField<Config>& config, const std::string& path,
             config::Diagnostics& diagnostics, std::vector<Element>& elements) {
  for (int i = 0; i < config.size(); ++i) {
    auto element = Read(config[i]);
    if (element.ok()) {
      elements.push_back(*std::move(element));
    } else {
      diagnostics.Error(config::ElementPath(path, i), Std(element.status().message()));
    }
  }
}

// The index of the first that matches, or -1.
template <class List, class Matches>
int FirstMatch(const List& list, Matches matches) {
  const auto found = std::find_if(list.begin(), list.end(), matches);
  return found == list.end() ? -1 : static_cast<int>(found - list.begin());
}

}  // namespace

void OwnListeners::Add(const Address& address) {
  if (address.is_ip()) addresses_.push_back(Unmapped(address));
}

bool OwnListeners::Contains(const Address& address) const {
  const Address target = Unmapped(address);
  return std::any_of(addresses_.begin(), addresses_.end(), [&](const Address& own) {
    if (own.port() != target.port()) return false;
    if (SameIp(own, target)) return true;
    // A connection to 0.0.0.0 or :: goes to loopback.
    if (target.is_any()) return own.is_any() || own.is_loopback();
    // A socket on :: as a rule takes IPv4 too.
    return own.is_any() && (own.family() == target.family() || own.family() == AF_INET6) &&
           IsLocal(target);
  });
}

std::string EgressRule::ToString() const {
  switch (kind) {
    case kNone:
      return "";
    case kClass:
      return std::string(NameOf(address_class));
    case kDenyRange:
      return Cat("deny_ranges[", index, "]");
    case kDenyHost:
      return Cat("deny_hosts[", index, "]");
    default:
      return std::string(kKindNames[kind]);
  }
}

EgressStats::EgressStats(const stats::Scope& scope)
    : allowed(scope.counter("allowed")),
      denied(scope.counter("denied")),
      reported(scope.counter("reported")),
      loops(scope.counter("loops")) {
  const stats::Scope reasons = scope.Sub("denied");
  for (size_t i = EgressRule::kDenyRange; i < by_kind_.size(); ++i)
    by_kind_[i] = reasons.counter(kKindNames[i]);
  for (size_t i = 1; i < by_class_.size(); ++i)
    by_class_[i] = reasons.counter(NameOf(static_cast<AddressClass>(i)));
}

void EgressStats::CountDenied(const EgressRule& rule) const {
  denied.Add();
  if (rule.kind == EgressRule::kClass) {
    by_class_[static_cast<size_t>(rule.address_class)].Add();
  } else if (rule.denies()) {
    by_kind_[rule.kind].Add();
  }
}

std::shared_ptr<const EgressGuard> EgressGuard::Build(const Proto& config, const OwnListeners& own,
                                                      const std::string& path,
                                                      config::Diagnostics& diagnostics) {
  std::shared_ptr<EgressGuard> guard(new EgressGuard(own));
  guard->mode_ = config.mode();
  guard->allow_loops_ = config.allow_loops();
  const auto read = [&](const auto& list, std::string_view field, auto& elements) {
    ReadAll(list, config::ChildPath(path, field), diagnostics, elements);
  };
  read(config.allow_ranges(), "allow_ranges", guard->allow_ranges_);
  read(config.deny_ranges(), "deny_ranges", guard->deny_ranges_);
  read(config.allow_hosts(), "allow_hosts", guard->allow_hosts_);
  read(config.deny_hosts(), "deny_hosts", guard->deny_hosts_);
  read(config.ports(), "ports", guard->ports_);
  return guard;
}

std::shared_ptr<const EgressGuard> EgressGuard::Default(const OwnListeners& own) {
  return std::shared_ptr<const EgressGuard>(new EgressGuard(own));
}

std::string_view EgressGuard::mode_name() const {
  return mode_ == Proto::ENFORCE  ? "enforcing"
         : mode_ == Proto::REPORT ? "reporting only"
                                  : "disabled";
}

bool EgressGuard::HasPort(uint16_t port) const {
  if (port == 0) return false;
  return ports_.empty() || std::any_of(ports_.begin(), ports_.end(), [&](const auto& range) {
           return port >= range.first && port < range.second;
         });
}

EgressRule EgressGuard::CheckHost(std::string_view host, uint16_t port) const {
  if (mode_ == Proto::DISABLED) return {};
  const auto matches = [&](const StringMatcher& matcher) { return matcher.Matches(host); };
  if (const int denied = FirstMatch(deny_hosts_, matches); denied >= 0)
    return {EgressRule::kDenyHost, AddressClass::kGlobal, denied};
  const bool allowed = FirstMatch(allow_hosts_, matches) >= 0;
  if (!allow_hosts_.empty() && !allowed) return {EgressRule::kNotAllowed};
  if (!allowed && std::find(std::begin(kMetadataHosts), std::end(kMetadataHosts), host) !=
                      std::end(kMetadataHosts)) {
    return {EgressRule::kMetadataHost};
  }
  if (!HasPort(port)) return {EgressRule::kPort};
  return {};
}

EgressRule EgressGuard::CheckAddress(const Address& address) const {
  if (own_.Contains(address)) return {EgressRule::kOwnListener};
  if (mode_ == Proto::DISABLED) return {};
  if (!deny_ranges_.empty()) {
    const std::vector<Address> spellings = Spellings(address);
    const int denied = FirstMatch(deny_ranges_, [&](const CidrRange& range) {
      return std::any_of(spellings.begin(), spellings.end(),
                         [&](const Address& spelling) { return range.Contains(spelling); });
    });
    if (denied >= 0) return {EgressRule::kDenyRange, AddressClass::kGlobal, denied};
  }
  const AddressClass address_class = Classify(address);
  if (address_class == AddressClass::kGlobal) return {};
  if (FirstMatch(allow_ranges_, [&](const CidrRange& range) { return range.Contains(address); }) >=
      0)
    return {};
  return {EgressRule::kClass, address_class};
}

EgressGuard::Decision EgressGuard::Decide(std::string_view host, uint16_t port,
                                          const std::vector<Address>& addresses) const {
  Decision decision;
  decision.rule = CheckHost(host, port);
  if (decision.rule.denies() && enforces()) {
    decision.outcome = Decision::kDenied;
    return decision;
  }
  for (const Address& address : addresses) {
    const EgressRule rule = CheckAddress(address);
    if (rule.denies() && !decision.rule.denies()) decision.rule = rule;
    // Our own listeners are not for any mode to open.
    if (!rule.denies() || (!enforces() && rule.kind != EgressRule::kOwnListener))
      decision.addresses.push_back(address);
  }
  if (decision.addresses.empty()) {
    decision.outcome = Decision::kDenied;
  } else if (decision.rule.denies() && !enforces()) {
    decision.outcome = Decision::kReported;
  }
  return decision;
}

absl::Status EgressGuard::Decision::status() const {
  return MakeError(Reason::kEgressDenied, rule.ToString());
}

namespace {

uint64_t RandomBits() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

Egress::Egress(const stats::Scope& root)
    : stats_(root.Sub("egress_guard")),
      loop_mark_(RandomBits()),
      guard_(EgressGuard::Default(own_)) {}

absl::Status Egress::SetGuard(std::shared_ptr<const EgressGuard> guard) {
  if (std::exchange(is_configured_, true))
    return absl::FailedPreconditionError("there can be one egress guard only");
  guard_ = std::move(guard);
  return absl::OkStatus();
}

std::string Egress::Notice() const {
  std::string notice = Cat("egress guard: ", guard_->mode_name());
  if (is_configured_) return notice + ", as bootstrap_extensions says";
  return notice +
         ": no loopback, private, link-local, metadata or other special-purpose address is dialled "
         "for a client; to open some: "
         "--config-yaml '{bootstrap_extensions: [{name: sluice.bootstrap.egress_guard, "
         "typed_config: {\"@type\": "
         "type.googleapis.com/sluice.egress.v1.EgressGuard, allow_ranges: [{address_prefix: "
         "10.0.0.0, prefix_len: 8}]}}]}'";
}

}  // namespace sluice
