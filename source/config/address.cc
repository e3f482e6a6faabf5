// See address.h.
#include "source/config/address.h"

#include "source/base/strings.h"

namespace sluice::config {

absl::StatusOr<Address> AddressOf(const envoy::config::core::v3::Address& config) {
  if (config.has_pipe()) return Address::Unix(config.pipe().path());
  if (config.socket_address().protocol() != envoy::config::core::v3::SocketAddress::TCP)
    return Invalid("only TCP is supported here");
  return Address::Ip(config.socket_address().address(),
                     static_cast<uint16_t>(config.socket_address().port_value()));
}

}  // namespace sluice::config
