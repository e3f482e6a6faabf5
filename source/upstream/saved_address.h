// SavedAddress: the address that a filter has resolved for a request, in the filter state. From
// then on only this address is dialled: it is what the filters behind it have judged. Immutable,
// any thread.
#pragma once

#include <string>

#include "source/http/exchange.h"
#include "source/net/address.h"

namespace sluice {

class SavedAddress final : public FilterStateObject {
 public:
  /// Envoy's name for it.
  static constexpr std::string_view kName = "envoy.stream.upstream_address";

  explicit SavedAddress(const Address& address) : address_(address), text_(address.ToString()) {}
  std::string ToString() const override { return text_; }
  const Address& address() const { return address_; }

  /// The one of `exchange`; null when there is none.
  static const SavedAddress* Of(const Exchange& exchange) {
    return dynamic_cast<const SavedAddress*>(exchange.filter_state(kName));
  }

 private:
  const Address address_;
  const std::string text_;
};

}  // namespace sluice
