// Takes secrets out of what is shown. Pure; any thread.
#pragma once

#include "google/protobuf/message.h"

namespace sluice::config {

/// Replaces every text and all bytes in fields marked `(sluice.validate.sensitive)` by
/// `[redacted]`, numbers in them by 0, also inside an Any. An Any that cannot be opened loses its
/// value.
void Redact(google::protobuf::Message* message);

}  // namespace sluice::config
