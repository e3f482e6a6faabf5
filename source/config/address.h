// Addresses of the configuration. A pure function, any thread.
#pragma once

#include "absl/status/statusor.h"
#include "api/envoy/config/core/v3/address.pb.h"
#include "source/net/address.h"

namespace sluice::config {

/// InvalidArgument for a host name, and for what is not TCP.
absl::StatusOr<Address> AddressOf(const envoy::config::core::v3::Address& config);

}  // namespace sluice::config
