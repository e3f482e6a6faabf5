// Client detection: original_ip_detection_extensions of a connection manager, which say who the
// client behind other proxies is. Immutable; pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "google/protobuf/repeated_ptr_field.h"
#include "source/extension/factory_context.h"
#include "source/http/message.h"
#include "source/net/address.h"
#include "source/net/address_range.h"

namespace envoy::config::core::v3 {
class TypedExtensionConfig;
}

namespace sluice {

/// One way to find out.
struct ClientDetection {
  std::string header;            // custom_header, in lower case; empty: X-Forwarded-For
  bool may_be_internal = false;  // custom_header: whether its address counts as internal at all
  uint32_t trusted_hops = 0;
  AddressMatcher trusted_proxies;  // xff_trusted_cidrs, in place of trusted_hops
  bool appends = false;            // the peer is appended to X-Forwarded-For
};

struct DetectedClient {
  Address address;  // unset: nothing was found
  bool may_be_internal = false;
  bool appends = false;  // one that was asked says so, also where it found nothing
};

/// What the first of `detections` finds that finds anything.
DetectedClient DetectClient(const std::vector<ClientDetection>& detections, const Address& peer,
                            const RequestHead& head);

/// Problems are reported at `<context.path>.original_ip_detection_extensions[i]`.
std::vector<ClientDetection> BuildClientDetections(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::TypedExtensionConfig>&
        configs,
    FactoryContext& context);

}  // namespace sluice
