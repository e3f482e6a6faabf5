// The validation rules of api/sluice/validate, evaluated by reflection. Pure; any thread.
#pragma once

#include <string_view>

#include "google/protobuf/message.h"
#include "source/config/diagnostics.h"

namespace sluice::config {

/// Reports every rule that `message`, or a message inside it, breaks; `path` is the message's own.
/// Looks into each Any whose type is supported. A message says what its own rules are: `value must
/// be >= 1, got 0`.
void CheckRules(const google::protobuf::Message& message, std::string_view path,
                Diagnostics& diagnostics);

}  // namespace sluice::config
