// Socket addresses as values: IPv4, IPv6 and Unix paths. Any thread.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace sluice {

class Address {
 public:
  /// Unset; printed as "-".
  Address() = default;
  Address(const Address& other) noexcept : storage_(other.storage_) { Hold(); }
  Address(Address&& other) noexcept : storage_(std::exchange(other.storage_, {})) {}
  Address& operator=(Address other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~Address() { Drop(); }

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

  const sockaddr* data() const { return is_unix() ? &storage_.un.path->base : &storage_.base; }
  socklen_t size() const;
  const sockaddr_in& v4() const { return storage_.in; }
  const sockaddr_in6& v6() const { return storage_.in6; }

  /// "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@name".
  std::string ToString() const;
  /// Without the port and brackets.
  std::string IpString() const;

  bool operator==(const Address& other) const;
  template <typename H>
  friend H AbslHashValue(H h, const Address& a) {
    return H::combine_contiguous(std::move(h), reinterpret_cast<const char*>(a.data()), a.size());
  }

 private:
  // A Unix address lies apart: it is four times as large as the others, and every connection holds
  // several addresses. Any thread may hold it.
  struct UnixPath {
    std::atomic<uint32_t> holders{1};
    socklen_t length;
    union {
      sockaddr_un un;
      sockaddr base;
    };
  };
  union Storage {
    sockaddr_in6 in6;  // The largest comes first: it is what `{}` zeroes.
    sockaddr_in in;
    sockaddr base;
    struct {
      sa_family_t family;
      UnixPath* path;
    } un;
  };

  bool is_unix() const { return family() == AF_UNIX; }
  void Hold() const {
    if (is_unix()) storage_.un.path->holders.fetch_add(1, std::memory_order_relaxed);
  }
  void Drop() {
    if (is_unix() && storage_.un.path->holders.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete storage_.un.path;
  }

  Storage storage_{};
};
static_assert(sizeof(Address) == 32, "every connection holds several");

}  // namespace sluice
