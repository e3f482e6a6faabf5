// Bootstraps in protobuf's own forms, binary and text: as strict as YAML. Used by the thread that
// loads.
#pragma once

#include <string_view>

#include "google/protobuf/message.h"
#include "source/config/diagnostics.h"
#include "source/config/proto_reader.h"

namespace sluice::config {

/// Parses `bytes` by the whole API, so that what Sluice does not support is told from what does not
/// exist, and refuses both; then sets `message`. Binary has no lines: problems have a path and the
/// file's name. False if the bytes are no message at all.
bool ReadBinary(std::string_view bytes, int file, const ReadOptions& options,
                Diagnostics& diagnostics, google::protobuf::Message* message);

/// The same for protobuf's text format, with lines and columns.
bool ReadText(std::string_view text, int file, const ReadOptions& options, Diagnostics& diagnostics,
              google::protobuf::Message* message);

}  // namespace sluice::config
