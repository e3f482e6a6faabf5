// The address itself is asked for where connections are accepted. See original_dst.h.
#include "extensions/filters/listener/original_dst/original_dst.h"

#include "api/envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"

namespace sluice {
namespace {

class OriginalDst final : public ListenerFilter {
 public:
  Task<absl::Status> Inspect(Connection&) const override { co_return absl::OkStatus(); }
  bool wants_original_destination() const override { return true; }
};

}  // namespace

void RegisterOriginalDst(Registry& registry) {
  registry.AddListenerFilter<envoy::extensions::filters::listener::original_dst::v3::OriginalDst>(
      "envoy.filters.listener.original_dst", Posture::kRobustToUntrustedDownstream,
      [](const auto&, FactoryContext&) -> absl::StatusOr<ListenerFilterPtr> {
        return std::make_unique<OriginalDst>();
      });
}

}  // namespace sluice
