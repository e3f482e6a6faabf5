// The shout filter: the body of every response in capital letters.
#pragma once

#include "source/extension/registry.h"

namespace shout {

/// Makes the filter known as `shout`.
void Register(sluice::Registry& registry);

}  // namespace shout
