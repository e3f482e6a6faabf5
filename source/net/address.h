// Socket addresses as values: IPv4, IPv6 and Unix paths. Any thread.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice {

class Address {
 public:
  /// Unset; printed as "-".
  Address() = default;

  /// An IP literal ("127.0.0.1", "::1", "fe80::1%2"; no brackets) and a port. InvalidArgument for a
  /// host name.
  static absl::StatusOr<Address> Ip(std::string_view literal, uint16_t port);
  /// The same as one text: "127.0.0.1:80", "[::1]:80". InvalidArgument also without a port.
  static absl::StatusOr<Address> IpAndPort(std::string_view text);
  /// A Unix socket path; a leading '@' means the abstract name space. InvalidArgument when it is
  /// too long.
  static absl::StatusOr<Address> Unix(std::string_view path);
  static Address From(const sockaddr* address, socklen_t length);
  static Address Ipv4(uint32_t host_order, uint16_t port);

  bool is_set() const { return family() != AF_UNSPEC; }
  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }
  int family() const { return storage_.base.sa_family; }
  uint16_t port() const;
  Address WithPort(uint16_t port) const;
  /// True for 0.0.0.0 and ::.
  bool is_any() const;
  bool is_loopback() const;

  const sockaddr* data() const {
    return unix_ == nullptr ? &storage_.base : reinterpret_cast<const sockaddr*>(unix_.get());
  }
  socklen_t size() const { return length_; }
  const sockaddr_in& v4() const { return storage_.in; }
  const sockaddr_in6& v6() const { return storage_.in6; }

  /// "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@name".
  std::string ToString() const;
  /// Without the port and brackets.
  std::string IpString() const;

  bool operator==(const Address& other) const;
  template <typename H>
  friend H AbslHashValue(H h, const Address& a) {
    return H::combine_contiguous(std::move(h), reinterpret_cast<const char*>(a.data()), a.length_);
  }

 private:
  union Storage {
    sockaddr_in6 in6;  // The largest comes first: it is what `{}` zeroes.
    sockaddr_in in;
    sockaddr base;
  } storage_{};  // only the family of a Unix address
  socklen_t length_ = 0;
  // Apart: it is four times as large as the others, and every connection holds several addresses.
  std::shared_ptr<const sockaddr_un> unix_;
};

}  // namespace sluice
