// Every message of Envoy's public v3 API, and ours, as dynamic messages: what a name could mean,
// whether Sluice supports it or not. Built on first use, then read by any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace sluice::config {

/// The pool of the whole API (api/known). Its files are built when first asked for.
const google::protobuf::DescriptorPool& KnownApi();

/// A new dynamic message of the whole API; null if it has no message of that name. Caller owns.
google::protobuf::Message* NewKnownMessage(std::string_view full_name);

/// The message that Sluice has code for, null if it has none.
const google::protobuf::Descriptor* SupportedMessage(std::string_view full_name);

/// The full names of all messages that Sluice supports, sorted. Slow (it reads the whole API once):
/// for suggestions.
const std::vector<std::string>& SupportedMessageNames();

}  // namespace sluice::config
