// The table of special networks (IANA's special-purpose registries) and the embeddings of IPv4 in
// IPv6. Pure functions.
#include "source/upstream/egress/address_class.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "source/net/address_range.h"

namespace sluice {
namespace {

using Bytes16 = std::array<uint8_t, 16>;

struct Block4 {
  uint32_t prefix;
  int length;
  AddressClass address_class;
};

constexpr uint32_t Ip4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

// The first match counts: single addresses stand before the networks that they are in.
constexpr Block4 kBlocks4[] = {
    {Ip4(169, 254, 169, 254), 32,
     AddressClass::kMetadata},  // AWS, GCP, Azure, OpenStack and most others
    {Ip4(169, 254, 170, 2), 32, AddressClass::kMetadata},    // AWS ECS task credentials
    {Ip4(169, 254, 170, 23), 32, AddressClass::kMetadata},   // AWS EKS pod identity
    {Ip4(169, 254, 169, 253), 32, AddressClass::kMetadata},  // AWS resolver
    {Ip4(169, 254, 169, 123), 32, AddressClass::kMetadata},  // AWS time
    {Ip4(169, 254, 0, 23), 32, AddressClass::kMetadata},     // Tencent
    {Ip4(100, 100, 100, 200), 32, AddressClass::kMetadata},  // Alibaba
    {Ip4(192, 0, 0, 192), 32, AddressClass::kMetadata},      // Oracle, older
    {Ip4(168, 63, 129, 16), 32, AddressClass::kMetadata},    // Azure wire server
    {Ip4(0, 0, 0, 0), 8, AddressClass::kUnspecified},
    {Ip4(10, 0, 0, 0), 8, AddressClass::kPrivate},
    {Ip4(100, 64, 0, 0), 10, AddressClass::kCarrierNat},
    {Ip4(127, 0, 0, 0), 8, AddressClass::kLoopback},
    {Ip4(169, 254, 0, 0), 16, AddressClass::kLinkLocal},
    {Ip4(172, 16, 0, 0), 12, AddressClass::kPrivate},
    {Ip4(192, 0, 0, 0), 24, AddressClass::kReserved},
    {Ip4(192, 0, 2, 0), 24, AddressClass::kDocumentation},
    {Ip4(192, 88, 99, 0), 24, AddressClass::kReserved},
    {Ip4(192, 168, 0, 0), 16, AddressClass::kPrivate},
    {Ip4(198, 18, 0, 0), 15, AddressClass::kReserved},
    {Ip4(198, 51, 100, 0), 24, AddressClass::kDocumentation},
    {Ip4(203, 0, 113, 0), 24, AddressClass::kDocumentation},
    {Ip4(224, 0, 0, 0), 4, AddressClass::kMulticast},
    {Ip4(255, 255, 255, 255), 32, AddressClass::kBroadcast},
    {Ip4(240, 0, 0, 0), 4, AddressClass::kReserved},
};

struct Block6 {
  Bytes16 prefix;
  int length;
  AddressClass address_class;
};

constexpr Block6 kBlocks6[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54},
     128,
     AddressClass::kMetadata},  // AWS fd00:ec2::254
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x23},
     128,
     AddressClass::kMetadata},  // AWS fd00:ec2::23, EKS
    {{0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54},
     128,
     AddressClass::kMetadata},  // GCP fd20:ce::254
    {{}, 128, AddressClass::kUnspecified},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, AddressClass::kLoopback},
    {{0xfe, 0x80}, 10, AddressClass::kLinkLocal},
    {{0xfe, 0xc0}, 10, AddressClass::kSiteLocal},
    {{0xfc}, 7, AddressClass::kUniqueLocal},
    {{0xff}, 8, AddressClass::kMulticast},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, AddressClass::kDocumentation},
    {{0x3f, 0xff}, 20, AddressClass::kDocumentation},
    {{0x20, 0x01, 0x00, 0x02, 0, 0}, 48, AddressClass::kReserved},  // benchmarking
    {{0x20, 0x01, 0x00, 0x10}, 28, AddressClass::kReserved},        // ORCHID
    {{0x20, 0x01, 0x00, 0x20}, 28, AddressClass::kReserved},        // ORCHIDv2
    {{0x5f, 0x00}, 16, AddressClass::kReserved},                    // SRv6 segments
};

AddressClass ClassOf4(uint32_t ip) {
  for (const Block4& block : kBlocks4) {
    const uint32_t mask = block.length == 0 ? 0 : ~uint32_t{0} << (32 - block.length);
    if ((ip & mask) == block.prefix) return block.address_class;
  }
  return AddressClass::kGlobal;
}

uint32_t Inner(const uint8_t* bytes) {
  return Ip4(bytes[0], bytes[1], bytes[2], bytes[3]);
}

// Ways of carrying an IPv4 address: where it is under which prefix. `flipped`: all its bits are
// inverted.
struct Embedding {
  Bytes16 prefix;
  int length;
  int offset;
  bool flipped = false;
};

constexpr Embedding kEmbeddings[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},  // ::ffff:a.b.c.d, mapped (RFC 4291)
    {{}, 96, 12},  // ::a.b.c.d, compatible (RFC 4291, obsolete)
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0},
     96,
     12},                                // ::ffff:0:a.b.c.d, translated (RFC 2765)
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},  // 64:ff9b::/96, NAT64 (RFC 6052)
    {{0x20, 0x02}, 16, 2},               // 2002:a.b.c.d::/48, 6to4 (RFC 3056)
    {{0x20, 0x01, 0, 0}, 32, 4},         // Teredo: the server (RFC 4380)
    {{0x20, 0x01, 0, 0}, 32, 12, true},  // Teredo: the client
};

// The local NAT64 prefix 64:ff9b:1::/48 (RFC 8215) is cut into translators' prefixes of any length:
// the address may stand at bits 48 to 87 around the reserved octet (RFC 6052 section 2.2), or in
// the last 32 bits.
constexpr Bytes16 kLocalNat64 = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};

std::array<uint32_t, 4> LocalNat64Candidates(const uint8_t* b) {
  return {
      Ip4(b[6], b[7], b[9], b[10]),    // /48
      Ip4(b[7], b[9], b[10], b[11]),   // /56
      Ip4(b[9], b[10], b[11], b[12]),  // /64
      Inner(b + 12),                   // /96
  };
}

AddressClass ClassOfLocalNat64(const uint8_t* b) {
  for (const uint32_t candidate : LocalNat64Candidates(b)) {
    const AddressClass found = ClassOf4(candidate);
    // Positions that are not used hold zeros; any other special address decides.
    if (found != AddressClass::kGlobal && found != AddressClass::kUnspecified) return found;
  }
  // A translator of our own network leads to where we do not know: never a global address.
  return AddressClass::kReserved;
}

bool IsIsatap(const uint8_t* b) {
  // An interface identifier [02]00:5efe:a.b.c.d under any prefix (RFC 5214).
  return (b[8] == 0x00 || b[8] == 0x02) && b[9] == 0x00 && b[10] == 0x5e && b[11] == 0xfe;
}

AddressClass ClassOf6(const uint8_t* bytes) {
  for (const Block6& block : kBlocks6) {
    if (HasPrefix(bytes, block.prefix.data(), block.length)) return block.address_class;
  }
  bool is_embedded = false;
  for (const Embedding& embedding : kEmbeddings) {
    if (!HasPrefix(bytes, embedding.prefix.data(), embedding.length)) continue;
    is_embedded = true;
    const uint32_t inner = Inner(bytes + embedding.offset);
    const AddressClass found = ClassOf4(embedding.flipped ? ~inner : inner);
    if (found != AddressClass::kGlobal) return found;
  }
  if (HasPrefix(bytes, kLocalNat64.data(), 48)) return ClassOfLocalNat64(bytes);
  if (IsIsatap(bytes)) {
    const AddressClass found = ClassOf4(Inner(bytes + 12));
    if (found != AddressClass::kGlobal) return found;
  }
  if (is_embedded) return AddressClass::kGlobal;
  // Global unicast is 2000::/3 (RFC 4291); nothing else is assigned to hosts.
  return (bytes[0] >> 5) == 1 ? AddressClass::kGlobal : AddressClass::kReserved;
}

}  // namespace

std::string_view NameOf(AddressClass address_class) {
  constexpr std::string_view kNames[] = {"global",      "unspecified",   "loopback", "private",
                                         "carrier_nat", "link_local",    "metadata", "multicast",
                                         "broadcast",   "documentation", "reserved", "unique_local",
                                         "site_local",  "not_ip"};
  return kNames[static_cast<size_t>(address_class)];
}

AddressClass Classify(const Address& address) {
  if (address.family() == AF_INET) return ClassOf4(ntohl(address.v4().sin_addr.s_addr));
  if (address.family() == AF_INET6) return ClassOf6(address.v6().sin6_addr.s6_addr);
  return AddressClass::kNotIp;
}

std::vector<Address> Spellings(const Address& address) {
  std::vector<Address> spellings = {address};
  if (address.family() != AF_INET6) return spellings;
  const uint8_t* b = address.v6().sin6_addr.s6_addr;
  const auto add = [&](uint32_t ip) { spellings.push_back(Address::Ipv4(ip, address.port())); };
  for (const Embedding& embedding : kEmbeddings) {
    if (!HasPrefix(b, embedding.prefix.data(), embedding.length)) continue;
    const uint32_t inner = Inner(b + embedding.offset);
    add(embedding.flipped ? ~inner : inner);
  }
  if (HasPrefix(b, kLocalNat64.data(), 48)) {
    for (const uint32_t inner : LocalNat64Candidates(b)) add(inner);
  }
  if (IsIsatap(b)) add(Inner(b + 12));
  return spellings;
}

}  // namespace sluice
