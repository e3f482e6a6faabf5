// The extensions that come with Sluice. Main thread, before the workers start.
#pragma once

#include "source/extension/registry.h"

namespace sluice {

/// Registers all of them. Main thread, before a configuration is loaded.
void RegisterBuiltinExtensions(Registry& registry);

}  // namespace sluice
