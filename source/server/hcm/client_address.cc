// Finding the client in what trusted proxies say. Any thread; built on the main thread.
#include "source/server/hcm/client_address.h"

#include "api/envoy/config/core/v3/extension.pb.h"
#include "api/envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header.pb.h"
#include "api/envoy/extensions/http/original_ip_detection/xff/v3/xff.pb.h"
#include "source/base/strings.h"
#include "source/server/hcm/edge.h"

namespace sluice {
namespace {

namespace detection = envoy::extensions::http::original_ip_detection;

// The last address of the list that is no trusted proxy's; when all are, the first of the list.
Address LastUntrusted(std::string_view forwarded_for, const AddressMatcher& trusted) {
  Address found;
  for (size_t n = 0;; ++n) {
    const Address hop = ForwardedAddress(forwarded_for, n);
    if (!hop.is_set()) return found;
    found = hop;
    if (!trusted.Matches(hop)) return found;
  }
}

DetectedClient DetectOne(const ClientDetection& detection, const Address& peer,
                         const RequestHead& head) {
  if (!detection.header.empty()) {
    const auto value = head.headers.Get(detection.header);
    const auto address = Address::Ip(Trim(value.value_or("")), 0);
    if (!address.ok()) return {};
    return {*address, detection.may_be_internal, false};
  }
  const auto list = head.headers.GetJoined(HeaderId::kXForwardedFor);
  if (!list.has_value()) return {};
  const bool alone = list->find(',') == std::string_view::npos;
  if (detection.trusted_proxies.ranges.empty())
    return {ForwardedAddress(*list, detection.trusted_hops), alone};
  if (!detection.trusted_proxies.Matches(peer)) return {};
  return {LastUntrusted(*list, detection.trusted_proxies), alone};
}

ClientDetection BuildXff(const detection::xff::v3::XffConfig& config, const std::string& path,
                         FactoryContext& context) {
  ClientDetection made;
  made.trusted_hops = config.xff_num_trusted_hops();
  made.appends = config.has_skip_xff_append() && !config.skip_xff_append().value();
  for (int i = 0; i < config.xff_trusted_cidrs().cidrs_size(); ++i) {
    const auto& cidr = config.xff_trusted_cidrs().cidrs(i);
    auto range = CidrRange::Make(cidr.address_prefix(), cidr.prefix_len().value());
    if (range.ok()) {
      made.trusted_proxies.ranges.push_back(*range);
    } else {
      context.server.diagnostics.Error(Cat(path, ".xff_trusted_cidrs.cidrs[", i, "]"),
                                       Std(range.status().message()));
    }
  }
  if (config.has_xff_trusted_cidrs() && config.xff_num_trusted_hops() > 0) {
    context.server.diagnostics.Error(
        path, "xff_num_trusted_hops and xff_trusted_cidrs exclude each other");
  }
  return made;
}

}  // namespace

DetectedClient DetectClient(const std::vector<ClientDetection>& detections, const Address& peer,
                            const RequestHead& head) {
  bool appends = false;
  for (const ClientDetection& one : detections) {
    appends |= one.appends;
    const DetectedClient found = DetectOne(one, peer, head);
    if (found.address.is_set()) return {found.address, found.may_be_internal, appends};
  }
  return {{}, false, appends};
}

std::vector<ClientDetection> BuildClientDetections(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::TypedExtensionConfig>&
        configs,
    FactoryContext& context) {
  std::vector<ClientDetection> detections;
  for (int i = 0; i < configs.size(); ++i) {
    const std::string path = Cat(context.path, ".original_ip_detection_extensions[", i, "]");
    detection::xff::v3::XffConfig xff;
    detection::custom_header::v3::CustomHeaderConfig header;
    if (configs[i].typed_config().UnpackTo(&xff)) {
      detections.push_back(BuildXff(xff, path + ".typed_config", context));
    } else if (configs[i].typed_config().UnpackTo(&header)) {
      ClientDetection& made = detections.emplace_back();
      made.header = ToLower(header.header_name());
      made.may_be_internal = header.allow_extension_to_set_address_as_trusted();
    } else {
      context.server.diagnostics.Error(path,
                                       "use envoy.http.original_ip_detection.xff or "
                                       "envoy.http.original_ip_detection.custom_header");
    }
  }
  return detections;
}

}  // namespace sluice
