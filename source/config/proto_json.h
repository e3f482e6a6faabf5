// Protobuf messages as JSON, for the admin pages. Pure; any thread.
#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace sluice::config {

struct JsonOptions {
  bool pretty = true;           ///< one field a line, indented by one space
  bool print_defaults = false;  ///< also fields that have their default value
};

/// The message in protobuf's JSON mapping with names in snake_case; an Any is opened (`@type`
/// beside its fields). Of one that cannot be opened (a left-out optional extension) at most the
/// type is shown. Does not redact: see redact.h.
std::string ToJson(const google::protobuf::Message& message, const JsonOptions& options = {});

}  // namespace sluice::config
