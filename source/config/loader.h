// From files and flags to a checked Bootstrap: the one way in for configuration. Used by the thread
// that loads.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "source/config/diagnostics.h"
#include "source/config/proto_reader.h"

namespace sluice::config {

struct LoadOptions {
  /// A file; its extension says what it is: .json, .pb (binary), .pb_text, all else YAML. Empty: no
  /// file.
  std::string config_path;
  /// YAML (or JSON) read over the file: what it sets wins, lists are appended to, mappings merge.
  std::string config_yaml;
  ReadOptions read;
};

/// Loads and checks a bootstrap. All problems go to `diagnostics`, which afterwards knows the place
/// of every path; null if there is any error. Semantic checks (does the cluster of a route exist)
/// are for those who build from it.
std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> LoadBootstrap(const LoadOptions& options,
                                                                       Diagnostics& diagnostics);

/// Reads YAML or JSON text into `message` (of the generated API) and checks its rules. Problems
/// name `name` as their file; false if there is any error.
bool ReadYaml(std::string_view text, Diagnostics& diagnostics, google::protobuf::Message* message,
              std::string_view name = "yaml");

}  // namespace sluice::config
