// The PROXY protocol (versions 1 and 2), by which a proxy tells its upstream who the client is.
// Pure functions over bytes, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "source/net/address.h"

namespace sluice {

/// What stands at the beginning of a connection.
struct ProxyHeader {
  enum class State : uint8_t {
    kNeedMore,  // what is there may become a header
    kDone,
    kAbsent,  // no header begins like this
    kBad,     // a header that is broken
  };
  State state = State::kNeedMore;
  int version = 0;      // 1 or 2, as soon as it is known
  size_t size = 0;      // of a done header, in bytes
  bool local = false;   // the proxy speaks for itself (LOCAL, UNKNOWN): no addresses
  Address source;       // the client's
  Address destination;  // where the client had connected to
};

/// Version 1 has at most 107 bytes; of version 2 we take this much.
inline constexpr size_t kMaxProxyHeader = 4096;

/// Reads the header that `bytes` begin with. Type-length-value parts of version 2 are skipped,
/// other address families than IPv4, IPv6 and Unix streams count as `local`.
ProxyHeader ParseProxyHeader(std::string_view bytes);

/// A header of `version` 1 or 2. Addresses that are no pair of one IP family give UNKNOWN or LOCAL.
std::string WriteProxyHeader(int version, const Address& source, const Address& destination);

}  // namespace sluice
