// A case: what the proxy is configured with, what its peers say and what it must do, read from a
// YAML file. Values; test thread. test/cases/README.md describes the format.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "source/base/strings.h"

namespace sluice::cases {

/// What a response must be; what is not set may be anything.
struct ResponseExpectation {
  std::optional<int> status;
  std::optional<std::string>
      head;  // the whole head but for what depends on the time, byte for byte
  std::optional<std::string> body;  // without its framing
  std::vector<std::pair<std::string, std::optional<std::string>>>
      headers;  // nullopt: must not be there
  std::vector<std::pair<std::string, std::string>> trailers;
  bool bodiless = false;  // the answer to HEAD: its content-length counts nothing
  bool cut = false;       // the connection ends inside the body
};

/// One thing that a peer of the proxy does or waits for.
struct Step {
  enum class Kind { kSend, kBytes, kResponse, kEnd, kClose, kReset, kAwaitEnd };
  Kind kind = Kind::kSend;
  std::string bytes;  // of kSend and kBytes; not empty in kAwaitEnd: whatever comes before the end
  ResponseExpectation response;  // of kResponse
};
using Script = std::vector<Step>;

struct Case {
  std::string name;
  std::string
      listener_and_clusters;  // the bootstrap, without the parts that depend on the transport
  StringMap<std::vector<Script>>
      upstreams;  // one script for each connection that the proxy must make, in order
  Script client;
  std::optional<std::vector<std::string>> log;  // "<code> <flags> <details>" of each exchange
};

/// What is filled in for one run.
struct Surroundings {
  StringMap<std::string> addresses;  // of the upstreams, by name: `@name@` in the file
  std::string log_path;
  bool bind = false;  // false: the listener has no socket
};

/// The names of the upstreams of a case file.
absl::StatusOr<std::vector<std::string>> UpstreamNames(const std::string& text);
/// InvalidArgument says what is wrong with the file.
absl::StatusOr<Case> ReadCase(const std::string& text, const Surroundings& surroundings);

}  // namespace sluice::cases
