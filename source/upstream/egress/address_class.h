// What kind of network an address belongs to. Pure functions, any thread.
//
// Classify() sees through every known way of writing an IPv4 address inside an IPv6 one, because a
// router, a translator or the kernel may send such a packet to the inner address. It is what an
// egress guard decides by.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "source/net/address.h"

namespace sluice {

enum class AddressClass : uint8_t {
  kGlobal,
  kUnspecified,    // 0.0.0.0/8, ::
  kLoopback,       // 127.0.0.0/8, ::1
  kPrivate,        // 10/8, 172.16/12, 192.168/16 (RFC 1918)
  kCarrierNat,     // 100.64.0.0/10 (RFC 6598)
  kLinkLocal,      // 169.254.0.0/16, fe80::/10
  kMetadata,       // the addresses at which clouds answer with credentials
  kMulticast,      // 224.0.0.0/4, ff00::/8
  kBroadcast,      // 255.255.255.255
  kDocumentation,  // 192.0.2/24, 198.51.100/24, 203.0.113/24, 2001:db8::/32, 3fff::/20
  kReserved,     // 240/4, 192.0.0.0/24, 198.18/15, 192.88.99/24, 100::/64, the rest of IPv6 outside
                 // 2000::/3
  kUniqueLocal,  // fc00::/7
  kSiteLocal,    // fec0::/10
  kNotIp,        // a Unix path, or unset
};

/// "loopback", "carrier_nat": for logs and rules.
std::string_view NameOf(AddressClass address_class);

/// The class of `address`. An IPv6 address that carries an IPv4 one has the class of the inner
/// address when that is not global
/// (::ffff:0:0/96, ::/96, ::ffff:0:0:0/96, 64:ff9b::/96, 64:ff9b:1::/48, 2002::/16, Teredo's server
/// and client, ISATAP).
AddressClass Classify(const Address& address);

/// `address` and every IPv4 address that it carries in one of these ways: the places where a packet
/// to it may end.
std::vector<Address> Spellings(const Address& address);

}  // namespace sluice
