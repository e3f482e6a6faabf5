// What a TLS client says before anything is encrypted: the name that it wants, and the protocols
// that it offers. Pure functions over bytes, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct ClientHello {
  enum class State : uint8_t {
    kNeedMore,  // what is there may become a ClientHello
    kDone,
    kNotTls,  // no TLS handshake begins like this
    kBad,     // a handshake that is broken
  };
  State state = State::kNeedMore;
  std::string server_name;                         // in lower case; empty: none
  std::vector<std::string> application_protocols;  // "h2", "http/1.1"; in the client's order
};

/// Reads the ClientHello that `bytes` begin with (RFC 8446 4.1.2, in one or several records). A
/// name that is no host name of at most 255 printable bytes makes it kBad.
ClientHello ParseClientHello(std::string_view bytes);

}  // namespace sluice
