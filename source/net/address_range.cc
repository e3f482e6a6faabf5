// Comparing the first bits of addresses. Pure functions, any thread.
#include "source/net/address_range.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "source/base/strings.h"

namespace sluice {

bool HasPrefix(const uint8_t* bytes, const uint8_t* prefix, int length) {
  const int whole = length / 8;
  if (std::memcmp(bytes, prefix, static_cast<size_t>(whole)) != 0) return false;
  const int rest = length % 8;
  return rest == 0 || (bytes[whole] >> (8 - rest)) == (prefix[whole] >> (8 - rest));
}

absl::StatusOr<CidrRange> CidrRange::Make(std::string_view prefix, uint32_t length) {
  const absl::StatusOr<Address> address = Address::Ip(prefix, 0);
  if (!address.ok()) return address.status();
  CidrRange range;
  range.family_ = address->family();
  range.length_ = length;
  const bool is_v4 = range.family_ == AF_INET;
  if (length > (is_v4 ? 32u : 128u))
    return Invalid("the prefix length ", length, " is too long for '", prefix, "'");
  if (is_v4) {
    std::memcpy(range.bytes_, &address->v4().sin_addr, 4);
  } else {
    std::memcpy(range.bytes_, &address->v6().sin6_addr, 16);
  }
  return range;
}

bool CidrRange::Contains(const Address& address) const {
  const int length = static_cast<int>(length_);
  if (address.family() == AF_INET) {
    return family_ == AF_INET &&
           HasPrefix(reinterpret_cast<const uint8_t*>(&address.v4().sin_addr), bytes_, length);
  }
  if (address.family() != AF_INET6) return false;
  const uint8_t* bytes = address.v6().sin6_addr.s6_addr;
  if (family_ == AF_INET6) return HasPrefix(bytes, bytes_, length);
  return IN6_IS_ADDR_V4MAPPED(&address.v6().sin6_addr) && HasPrefix(bytes + 12, bytes_, length);
}

bool AddressMatcher::Matches(const Address& address) const {
  if (ranges.empty()) return false;
  const bool is_inside = std::any_of(ranges.begin(), ranges.end(), [&](const CidrRange& range) {
    return range.Contains(address);
  });
  return is_inside != invert;
}

}  // namespace sluice
