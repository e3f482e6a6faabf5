// The order in which the addresses of one host are tried. Pure.
#pragma once

#include <vector>

#include "source/net/address.h"

namespace sluice {

/// HappyEyeballsConfig.
struct AddressOrder {
  int first_family = AF_UNSPEC;  // AF_INET or AF_INET6; AF_UNSPEC: that of the first address
  uint32_t first_count = 1;      // addresses of it before one of the other family
};

/// The families in turn (RFC 8305, section 4), each in its own order.
std::vector<Address> InOrder(const std::vector<Address>& addresses, const AddressOrder& order);

}  // namespace sluice
