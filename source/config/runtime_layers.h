// Where runtime values come from: texts, a Struct of the configuration, a directory. Main thread.
#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "source/config/runtime.h"

namespace sluice::config {

/// A text as what it may be: a number, true or false (any case), a FractionalPercent in YAML or
/// JSON.
RuntimeValue ParseRuntimeValue(std::string_view text);

/// Adds the values of a static layer: the names of nested structs are joined by dots; one with
/// `numerator` or `denominator` is a FractionalPercent. InvalidArgument for a list or null.
absl::Status ReadStaticLayer(const google::protobuf::Struct& config, RuntimeLayer* layer);

/// Adds the files below `directory`, to a depth of 16: the path is the key with '/' as '.', lines
/// that start with '#' are comments, blanks at the end are cut. Names that start with ".." are
/// passed over: Kubernetes keeps the versions of a mounted ConfigMap there. NotFound when there is
/// no such directory; an error when a file cannot be read or has more than 64 KiB.
absl::Status ReadDiskLayer(const std::string& directory, RuntimeLayer* layer);

}  // namespace sluice::config
