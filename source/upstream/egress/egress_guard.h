// EgressGuard: the policy that says which hosts, ports and addresses the proxy dials for its
// clients. A policy is immutable and decides on any thread; what belongs to the process (its
// default policy, its own listeners) is set on the main thread before the workers run.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "api/sluice/egress/v1/egress_guard.pb.h"
#include "source/base/metric.h"
#include "source/config/diagnostics.h"
#include "source/net/address.h"
#include "source/net/address_range.h"
#include "source/observe/match/match.h"
#include "source/observe/stats/stats.h"
#include "source/upstream/egress/address_class.h"
#include "source/upstream/egress/loop_mark.h"

namespace sluice {

/// The addresses at which this process itself listens: to dial one would be a loop.
class OwnListeners {
 public:
  /// Main thread, before the workers run. A wildcard address stands for every address of the
  /// machine.
  void Add(const Address& address);
  /// True where a connection to `address` would come back to this process. Asks the system for its
  /// interfaces where a wildcard listener has the port.
  bool Contains(const Address& address) const;

 private:
  std::vector<Address> addresses_;
};

/// Why a host or an address is denied; also the name of a counter, egress_guard.denied.<name>.
struct EgressRule {
  enum Kind : uint8_t {
    kNone,
    kClass,         // `address_class` is not global
    kDenyRange,     // deny_ranges[index]
    kDenyHost,      // deny_hosts[index]
    kNotAllowed,    // no allow_hosts matches
    kMetadataHost,  // a name under which clouds answer with credentials
    kPort,
    kOwnListener,
  };
  Kind kind = kNone;
  AddressClass address_class = AddressClass::kGlobal;
  int index = 0;

  bool denies() const { return kind != kNone; }
  /// For the log: "loopback", "deny_ranges[1]", "port".
  std::string ToString() const;
};

/// Counts per request, as `egress_guard.*`.
class EgressStats {
 public:
  explicit EgressStats(const stats::Scope& scope);
  void CountDenied(const EgressRule& rule) const;

  const Counter allowed, denied, reported, loops;

 private:
  std::array<Counter, 8> by_kind_;
  std::array<Counter, 14> by_class_;
};

class EgressGuard : public std::enable_shared_from_this<EgressGuard> {
 public:
  using Proto = ::sluice::egress::v1::EgressGuard;

  /// Main thread. A range or a matcher that cannot be understood is reported below `path`, that of
  /// the message, and left out.
  static std::shared_ptr<const EgressGuard> Build(const Proto& config, const OwnListeners& own,
                                                  const std::string& path,
                                                  config::Diagnostics& diagnostics);
  /// The default policy, that of an empty message: everything but global addresses is denied.
  static std::shared_ptr<const EgressGuard> Default(const OwnListeners& own);

  /// What the policy makes of one host.
  struct Decision {
    enum Outcome : uint8_t { kAllowed, kReported, kDenied };
    Outcome outcome = kAllowed;
    EgressRule rule;                 // the first that denied anything
    std::vector<Address> addresses;  // those that may be dialled; not empty unless kDenied

    /// Denied: kEgressDenied with the rule.
    absl::Status status() const;
  };
  /// `host`: canonical, as requested (lower case, no final dot, an IPv6 literal without brackets).
  /// Denied addresses are left out; a host that has no others is denied.
  Decision Decide(std::string_view host, uint16_t port,
                  const std::vector<Address>& addresses) const;

  /// The part of it that needs no address: asked before a name is looked up, so that a denied name
  /// is not even asked for.
  EgressRule CheckHost(std::string_view host, uint16_t port) const;
  EgressRule CheckAddress(const Address& address) const;

  /// True if what is denied is refused; false where it is dialled all the same.
  bool enforces() const { return mode_ == Proto::ENFORCE; }
  /// False where requests are marked, and those that come back are refused.
  bool allows_loops() const { return allow_loops_; }
  /// "enforcing", "reporting only", "disabled".
  std::string_view mode_name() const;

 private:
  explicit EgressGuard(const OwnListeners& own) : own_(own) {}
  bool HasPort(uint16_t port) const;

  const OwnListeners& own_;
  Proto::Mode mode_ = Proto::ENFORCE;
  bool allow_loops_ = false;
  std::vector<CidrRange> allow_ranges_, deny_ranges_;
  std::vector<StringMatcher> allow_hosts_, deny_hosts_;
  std::vector<std::pair<int32_t, int32_t>> ports_;  // start, end (excluded)
};

/// What of the guard belongs to the process.
class Egress {
 public:
  /// Its statistics are made below `root`. Main thread.
  explicit Egress(const stats::Scope& root);

  OwnListeners& own() { return own_; }
  const OwnListeners& own() const { return own_; }
  const EgressStats& stats() const { return stats_; }
  /// What this process marks its requests with.
  const LoopMark& loop_mark() const { return loop_mark_; }
  /// The policy where a route or a chain has none of its own.
  const EgressGuard& guard() const { return *guard_; }
  /// Main thread, once, before the clusters are built. FailedPrecondition the second time.
  absl::Status SetGuard(std::shared_ptr<const EgressGuard> guard);

  /// The line of the start-up log: what is guarded, and how to change it.
  std::string Notice() const;

 private:
  OwnListeners own_;
  const EgressStats stats_;
  const LoopMark loop_mark_;
  std::shared_ptr<const EgressGuard> guard_;
  bool is_configured_ = false;
};

}  // namespace sluice
