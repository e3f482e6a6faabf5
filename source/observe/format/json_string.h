// JSON text, written by appending: the one place that knows how a string is escaped. Stateless, any
// thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

/// Appends `value` as a JSON string with its quotes (RFC 8259 section 7). Control bytes are
/// escaped; a byte that is not part of valid UTF-8 becomes U+FFFD, so that what a peer sends never
/// makes a line that is not JSON.
void AppendJsonString(std::string_view value, std::string* out);

/// The length of the valid UTF-8 sequence that `value` starts with (RFC 3629), 0 if it is not one.
size_t Utf8SequenceLength(std::string_view value);

}  // namespace sluice
