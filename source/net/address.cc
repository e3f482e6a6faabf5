// Parsing and printing of socket addresses. Values.
#include "source/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "source/base/strings.h"

namespace sluice {

absl::StatusOr<Address> Address::Ip(std::string_view literal, uint16_t port) {
  Address address;
  std::string text(literal);
  if (inet_pton(AF_INET, text.c_str(), &address.storage_.in.sin_addr) == 1) {
    address.storage_.in.sin_family = AF_INET;
    address.storage_.in.sin_port = htons(port);
    return address;
  }
  const size_t zone = text.find('%');
  const std::string scope = zone == std::string::npos ? "" : text.substr(zone + 1);
  if (zone != std::string::npos) text.resize(zone);
  if (inet_pton(AF_INET6, text.c_str(), &address.storage_.in6.sin6_addr) != 1) {
    return Invalid("'", literal, "' is not an IP address");
  }
  address.storage_.in6.sin6_family = AF_INET6;
  address.storage_.in6.sin6_port = htons(port);
  if (zone == std::string::npos) return address;
  const auto number = ParseDecimal<uint32_t>(scope);
  address.storage_.in6.sin6_scope_id = number.has_value() ? *number : if_nametoindex(scope.c_str());
  if (address.storage_.in6.sin6_scope_id == 0) return Invalid("'", literal, "' names no interface");
  return address;
}

absl::StatusOr<Address> Address::IpAndPort(std::string_view text) {
  const std::string_view colon_and_port = PortOf(text);
  const auto port =
      colon_and_port.empty() ? std::nullopt : ParseDecimal<uint16_t>(colon_and_port.substr(1));
  if (!port.has_value()) return Invalid("'", text, "' has no port");
  std::string_view host = HostOf(text);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return Ip(host, *port);
}

absl::StatusOr<Address> Address::Unix(std::string_view path) {
  sockaddr_un un{};
  if (path.empty()) return Invalid("a Unix socket needs a path");
  if (path.size() >= sizeof(un.sun_path)) {
    return Invalid("the socket path '", path, "' is longer than ", sizeof(un.sun_path) - 1,
                   " bytes");
  }
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  const bool is_abstract = path[0] == '@';
  if (is_abstract) un.sun_path[0] = '\0';
  return From(reinterpret_cast<const sockaddr*>(&un),
              static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                     (is_abstract ? 0 : 1)));
}

Address Address::From(const sockaddr* source, socklen_t length) {
  Address address;
  const sa_family_t family = source->sa_family;
  if (family == AF_UNIX) {
    auto* const path = new UnixPath();
    path->length = std::min<socklen_t>(length, sizeof(path->un));
    std::memcpy(&path->un, source, path->length);
    address.storage_.un = {AF_UNIX, path};
  } else if (family == AF_INET && length >= sizeof(sockaddr_in)) {
    std::memcpy(&address.storage_.in, source, sizeof(sockaddr_in));
  } else if (family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    std::memcpy(&address.storage_.in6, source, sizeof(sockaddr_in6));
  }
  return address;
}

socklen_t Address::size() const {
  if (family() == AF_INET) return sizeof(sockaddr_in);
  if (family() == AF_INET6) return sizeof(sockaddr_in6);
  return is_unix() ? storage_.un.path->length : 0;
}

Address Address::Ipv4(uint32_t host_order, uint16_t port) {
  Address address;
  address.storage_.in.sin_family = AF_INET;
  address.storage_.in.sin_port = htons(port);
  address.storage_.in.sin_addr.s_addr = htonl(host_order);
  return address;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(storage_.in.sin_port);
  if (family() == AF_INET6) return ntohs(storage_.in6.sin6_port);
  return 0;
}

Address Address::WithPort(uint16_t port) const {
  Address copy = *this;
  if (family() == AF_INET) copy.storage_.in.sin_port = htons(port);
  if (family() == AF_INET6) copy.storage_.in6.sin6_port = htons(port);
  return copy;
}

bool Address::is_any() const {
  if (family() == AF_INET) return storage_.in.sin_addr.s_addr == INADDR_ANY;
  return family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&storage_.in6.sin6_addr);
}

bool Address::is_loopback() const {
  if (family() == AF_INET) return (ntohl(storage_.in.sin_addr.s_addr) >> 24) == 127;
  return family() == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&storage_.in6.sin6_addr);
}

std::string Address::IpString() const {
  char text[INET6_ADDRSTRLEN] = "-";
  if (family() == AF_INET) inet_ntop(AF_INET, &storage_.in.sin_addr, text, sizeof(text));
  if (family() == AF_INET6) inet_ntop(AF_INET6, &storage_.in6.sin6_addr, text, sizeof(text));
  if (family() == AF_INET6 && storage_.in6.sin6_scope_id != 0)
    return Cat(text, "%", storage_.in6.sin6_scope_id);
  if (is_unix()) return ToString();
  return text;
}

std::string Address::ToString() const {
  if (family() == AF_INET) return Cat(IpString(), ":", port());
  if (family() == AF_INET6) return Cat("[", IpString(), "]:", port());
  if (!is_unix()) return "-";
  const UnixPath& path = *storage_.un.path;
  const size_t used = path.length - offsetof(sockaddr_un, sun_path);
  if (used == 0) return "@";  // An unnamed peer.
  if (path.un.sun_path[0] == '\0')
    return Cat("@", std::string_view(path.un.sun_path + 1, used - 1));
  return std::string(path.un.sun_path, strnlen(path.un.sun_path, used));
}

bool Address::operator==(const Address& other) const {
  return size() == other.size() && std::memcmp(data(), other.data(), size()) == 0;
}

}  // namespace sluice
