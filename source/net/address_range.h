// Ranges of addresses, and matching against them. Pure functions and values, any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "source/net/address.h"

namespace sluice {

/// Whether the first `length` bits of both are the same.
bool HasPrefix(const uint8_t* bytes, const uint8_t* prefix, int length);

/// An address prefix.
class CidrRange {
 public:
  /// `prefix` an IP literal; bits beyond `length` are ignored. InvalidArgument when it is no
  /// literal or the length is too long.
  static absl::StatusOr<CidrRange> Make(std::string_view prefix, uint32_t length);
  /// An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is also compared as IPv4.
  bool Contains(const Address& address) const;

 private:
  int family_ = 0;
  uint32_t length_ = 0;
  uint8_t bytes_[16] = {};
};

/// envoy.type.matcher.v3.AddressMatcher. Without ranges it matches nothing, `invert` or not.
struct AddressMatcher {
  std::vector<CidrRange> ranges;
  bool invert = false;

  bool Matches(const Address& address) const;
};

}  // namespace sluice
