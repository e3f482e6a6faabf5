// Mask: the fields of a message that somebody wants to see (google.protobuf.FieldMask). Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "google/protobuf/message.h"

namespace sluice::admin {

class Mask {
 public:
  /// "cluster.name,last_updated". A path and one that begins with it: the shorter counts.
  static Mask Parse(std::string_view paths);

  /// Clears every field that is not named. A path may lead through an Any of a supported type, not
  /// through a list. False, and the message is in no particular state, when a path does not fit the
  /// message.
  bool Trim(google::protobuf::Message* message) const;

 private:
  bool TrimAny(google::protobuf::Message* message) const;

  // Empty: everything below.
  std::map<std::string, Mask, std::less<>> fields_;
};

}  // namespace sluice::admin
