// The program: what main() calls, and what a program that embeds Sluice calls with extensions of
// its own. Called once, on the thread that becomes the main thread.
#pragma once

#include <functional>

#include "source/extension/registry.h"

namespace sluice {

/// Parses the command line, loads the configuration, and serves or validates as it says.
/// `register_extensions` fills the registry: RegisterBuiltinExtensions (extensions/builtin.h) and
/// whatever else there is. The exit code: 0 for a good end, 1 for a bad configuration or start.
int RunSluice(int argc, char** argv, const std::function<void(Registry&)>& register_extensions);

}  // namespace sluice
