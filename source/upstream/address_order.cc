// See address_order.h.
#include "source/upstream/address_order.h"

namespace sluice {

std::vector<Address> InOrder(const std::vector<Address>& addresses, const AddressOrder& order) {
  if (addresses.size() < 2) return addresses;
  std::vector<Address> first, other, result;
  const int family =
      order.first_family == AF_UNSPEC ? addresses.front().family() : order.first_family;
  for (const Address& address : addresses)
    (address.family() == family ? first : other).push_back(address);
  size_t f = 0, o = 0;
  while (f < first.size() || o < other.size()) {
    for (uint32_t i = 0; i < order.first_count && f < first.size(); ++i)
      result.push_back(first[f++]);
    if (o < other.size()) result.push_back(other[o++]);
  }
  return result;
}

}  // namespace sluice
