// Puts the configured policy in the place of the default one. Main thread.
#include "extensions/bootstrap/egress_guard/egress_guard.h"

#include "source/upstream/egress/egress_guard.h"

namespace sluice {
namespace {

absl::StatusOr<BootstrapExtensionPtr> Create(const EgressGuard::Proto& config,
                                             FactoryContext& context) {
  if (context.server.egress == nullptr)
    return absl::FailedPreconditionError("there is no process to guard here");
  auto guard = EgressGuard::Build(config, context.server.egress->own(), context.path,
                                  context.server.diagnostics);
  if (absl::Status status = context.server.egress->SetGuard(guard); !status.ok()) return status;
  return guard;
}

}  // namespace

void RegisterEgressGuard(Registry& registry) {
  registry.AddBootstrapExtension<EgressGuard::Proto>("sluice.bootstrap.egress_guard", Create);
}

}  // namespace sluice
