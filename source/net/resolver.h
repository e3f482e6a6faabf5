// Resolver: turns host names into addresses. Two exist: c-ares (cares_resolver.h) and the scripted
// one of the tests. Used on the thread of the worker it was made for, which is the main one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/async/task.h"
#include "source/base/clock.h"
#include "source/net/address.h"

namespace sluice {

/// Which address families a look-up may return (envoy.config.cluster.v3.Cluster.DnsLookupFamily).
enum class LookupFamily : uint8_t {
  kAuto,  // IPv6; IPv4 only when there is no IPv6 address
  kV4Only,
  kV6Only,
  kV4Preferred,  // IPv4; IPv6 only when there is no IPv4 address
  kAll,          // both, alternating, IPv6 first (RFC 8305 section 4)
};

struct AddressWithTtl {
  Address address;  // port 0
  std::chrono::seconds ttl{};
};

struct DnsAnswer {
  enum class Outcome : uint8_t {
    kCompleted,  // The servers have answered: with `addresses`, or that there are none (no such
                 // name, no such records).
    kFailed,     // SERVFAIL, REFUSED, no server answered, a name that cannot be asked for.
    kTimedOut,   // The caller's own timeout passed first.
    kCancelled,  // The caller was cancelled; nobody waits for the answer.
  };
  Outcome outcome = Outcome::kFailed;
  /// Why, in Envoy's words without blanks: "cares_success:Successful_completion",
  /// "cares_norecords:Domain_name_not_found", "resolve_timeout".
  std::string details;
  /// At most kMaxAddresses, without duplicates, in the order in which they are to be tried.
  std::vector<AddressWithTtl> addresses;

  static constexpr size_t kMaxAddresses = 64;

  bool has_addresses() const { return !addresses.empty(); }
};

/// Details of a name that is never asked for: wrong characters, an empty or too long label.
inline constexpr std::string_view kBadNameDetails = "cares_failure:Misformatted_domain_name";
inline constexpr std::string_view kResolvedDetails = "cares_success:Successful_completion";
inline constexpr std::string_view kResolveTimeoutDetails = "resolve_timeout";

class Resolver {
 public:
  virtual ~Resolver() = default;

  /// Looks `name` up. An IP literal is its own answer under every family, without a packet. Zero
  /// `timeout`: only the resolver's own limits count. Never fails to return: every outcome is in
  /// the answer. Cancellable.
  virtual Task<DnsAnswer> Resolve(std::string name, LookupFamily family, Duration timeout) = 0;
};

/// The answer for an IP literal (no brackets, no zone); nullopt for anything else.
std::optional<DnsAnswer> LiteralAnswer(std::string_view name);

/// True for a name that DNS can be asked for: letters, digits, '-' and '_' in labels of 1 to 63, at
/// most 253 in all, the last label not a number in any notation (so that "127.1" and "0x7f000001"
/// are names of nothing); one final dot is allowed.
bool IsResolvableName(std::string_view name);

/// Alternates between the families, beginning with IPv6, keeps the order within each, drops
/// duplicates and what is beyond DnsAnswer::kMaxAddresses.
std::vector<AddressWithTtl> Interleave(const std::vector<AddressWithTtl>& addresses);

}  // namespace sluice
