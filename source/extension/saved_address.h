// SavedAddress: an address as filter state, shared by those who find one and those who decide by
// it. A value; belongs to the exchange that keeps it.
#pragma once

#include <string>

#include "source/http/exchange.h"

namespace sluice {

/// Where the dynamic forward proxy filter keeps the address to which the request will go.
inline constexpr std::string_view kUpstreamAddressState = "envoy.stream.upstream_address";

class SavedAddress final : public FilterStateObject {
 public:
  explicit SavedAddress(const Address& address) : address_(address) {}
  std::string ToString() const override { return address_.ToString(); }
  const Address& address() const { return address_; }

 private:
  const Address address_;
};

}  // namespace sluice
