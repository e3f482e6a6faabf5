// Keys of a DNS cache: parsing of authorities. Pure functions.
#include "source/upstream/dns/dns_host.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/net/resolver.h"

namespace sluice {
namespace {

constexpr size_t kMaxHost = 254;  // of a name with its final dot

}  // namespace

std::optional<DnsKey> DnsKey::Parse(std::string_view authority, uint16_t default_port) {
  std::string_view host = authority;
  std::optional<std::string_view> port_text;
  const bool is_bracketed = !authority.empty() && authority[0] == '[';
  const size_t end = is_bracketed ? authority.find(']') : authority.find(':');
  if (is_bracketed) {
    if (end == std::string_view::npos) return std::nullopt;
    host = authority.substr(1, end - 1);
    if (host.find(':') == std::string_view::npos) return std::nullopt;
    const std::string_view rest = authority.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return std::nullopt;
    if (!rest.empty()) port_text = rest.substr(1);
  } else if (end != std::string_view::npos) {
    host = authority.substr(0, end);
    port_text = authority.substr(end + 1);
    if (port_text->find(':') != std::string_view::npos) return std::nullopt;
  }
  uint16_t port = default_port;
  if (port_text.has_value()) {
    const auto number = ParseDecimal<uint16_t>(*port_text);
    if (!number.has_value()) return std::nullopt;
    port = *number;
  }
  return Of(host, port);
}

std::optional<DnsKey> DnsKey::Of(std::string_view host, uint16_t port) {
  DnsKey key;
  if (!key.SetHost(host)) return std::nullopt;
  key.SetPort(port);
  return key;
}

bool DnsKey::SetHost(std::string_view host) {
  if (host.size() > kMaxHost) return false;
  if (host.find(':') != std::string_view::npos) {
    // A zone ("fe80::1%eth0") would choose a network interface of ours: not for a client to say.
    char text[INET6_ADDRSTRLEN];
    if (host.size() >= sizeof(text)) return false;
    std::memcpy(text, host.data(), host.size());
    text[host.size()] = '\0';
    in6_addr address;
    if (inet_pton(AF_INET6, text, &address) != 1) return false;
    inet_ntop(AF_INET6, &address, text, sizeof(text));
    host_size_ = static_cast<uint16_t>(std::strlen(text));
    bracket_ = 1;
    is_literal_ = true;
    text_[0] = '[';
    std::memcpy(&text_[1], text, host_size_);
    text_[host_size_ + 1] = ']';
    size_ = host_size_ + 2;
    return true;
  }
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (host.empty()) return false;
  // A name's last character is a letter as a rule; only what ends in a digit can be an address.
  is_literal_ = IsDigit(host.back()) && LiteralAnswer(host).has_value();
  if (!is_literal_ && !IsResolvableName(host)) return false;
  std::transform(host.begin(), host.end(), text_.begin(), [](char c) { return ToLower(c); });
  size_ = host_size_ = static_cast<uint16_t>(host.size());
  return true;
}

void DnsKey::SetPort(uint16_t port) {
  port_ = port;
  text_[size_++] = ':';
  size_ = static_cast<uint16_t>(
      std::to_chars(text_.data() + size_, text_.data() + text_.size(), port).ptr - text_.data());
}

absl::Status ResolvedHost::status() const {
  return is_resolved() ? absl::OkStatus() : MakeError(Reason::kDnsFailure, details);
}

void ResolvedHost::Touch(TimePoint now) const {
  const int64_t now_ns = now.time_since_epoch().count();
  const int64_t last = activity->last_used_ns.load(std::memory_order_relaxed);
  if (now_ns - last >= activity->step_ns.load(std::memory_order_relaxed))
    activity->last_used_ns.store(now_ns, std::memory_order_relaxed);
}

TimePoint ResolvedHost::last_used() const {
  return TimePoint(Duration(activity->last_used_ns.load(std::memory_order_relaxed)));
}

}  // namespace sluice
