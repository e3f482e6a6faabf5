// What the process can do: its extensions, as they are logged when it starts. Main thread.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// What the authors promise, as Envoy words it: "robust_to_untrusted_downstream" ...
std::string_view ToString(Posture posture);

/// One line of the process's log for each kind of extension, at level info: names and postures.
void LogExtensions(const Registry& registry);

}  // namespace sluice
