// ResolvedHost: what is known of one name and port of a DNS cache, as published to the workers; and
// the key under which it is found. Values and immutable objects, any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "source/async/snapshot.h"
#include "source/base/clock.h"
#include "source/net/address.h"
#include "source/upstream/dns/host_use.h"

namespace sluice {

/// "name:port" in canonical form: lower case, without the final dot, IPv6 in brackets and in its
/// shortest spelling. Made without an allocation.
class DnsKey {
 public:
  /// Parses a request's authority. `default_port` counts where it names none. nullopt when it is
  /// not host[:port] (user info, a bad port, characters that no host name has, a number that is not
  /// a dotted quad). The authority must not be empty.
  static std::optional<DnsKey> Parse(std::string_view authority, uint16_t default_port);
  /// From a host (name, IPv4 or IPv6 literal without brackets) and a port, as a configuration gives
  /// them.
  static std::optional<DnsKey> Of(std::string_view host, uint16_t port);

  std::string_view text() const { return {text_.data(), size_}; }
  /// The host alone; without brackets.
  std::string_view host() const { return {text_.data() + bracket_, host_size_}; }
  uint16_t port() const { return port_; }
  bool is_ip_literal() const { return is_literal_; }

 private:
  bool SetHost(std::string_view host);
  void SetPort(uint16_t port);

  std::array<char, 272> text_;  // 253 of a name, or a bracketed address, and ":65535".
  uint16_t size_ = 0;
  uint16_t bracket_ = 0;  // 1 with a bracket before the host.
  uint16_t host_size_ = 0;
  uint16_t port_ = 0;
  bool is_literal_ = false;
};

/// One version of a host: a changed address list makes a new object with the same `slot`.
struct ResolvedHost {
  std::string key;   // canonical "name:port"
  std::string name;  // of it; an IPv6 literal without brackets
  uint16_t port = 0;
  bool is_ip_literal = false;
  /// A dense number below max_hosts, the host's own until it is removed: an index for what others
  /// keep per host.
  uint32_t slot = 0;
  /// With `port`, in the order in which to try them. Empty: the look-up has failed.
  std::vector<Address> addresses;
  /// The outcome that this version came from: "cares_success:Successful_completion".
  std::string details;

  bool is_resolved() const { return !addresses.empty(); }
  /// OK, or kDnsFailure with the details. Made anew for every caller: a status that threads share
  /// is a counter that they all write.
  absl::Status status() const;

  /// Notes that the host is in use. Any thread; writes shared memory once per step (a second) at
  /// most.
  void Touch(TimePoint now) const;
  TimePoint last_used() const;

  /// Shared by all versions of a host.
  struct Activity {
    std::atomic<int64_t> last_used_ns{0};
    std::atomic<int64_t> step_ns{1'000'000'000};
  };
  std::shared_ptr<Activity> activity;
  /// Shared by all hosts of that name, whatever their ports; null: they are not counted.
  std::shared_ptr<HostUse> use;
};

using ResolvedHostPtr = std::shared_ptr<const ResolvedHost>;
/// A worker's own reference: copied on its thread only, without an atomic operation.
using HostRef = LocalRef<ResolvedHost>;

}  // namespace sluice
