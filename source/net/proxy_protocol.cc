// PROXY protocol headers, as proxy-protocol.txt of HAProxy specifies them. Pure functions.
#include "source/net/proxy_protocol.h"

#include <cstring>
#include <optional>

#include "source/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kSignature1 = "PROXY ";
constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kMaxLine = 107;
constexpr size_t kFixedPart = 16;

using State = ProxyHeader::State;

// The next word of a line of version 1; words are separated by one blank.
std::string_view TakeWord(std::string_view* line) {
  const size_t end = std::min(line->find(' '), line->size());
  const std::string_view word = line->substr(0, end);
  line->remove_prefix(std::min(end + 1, line->size()));
  return word;
}

// A port without leading zeros.
std::optional<uint16_t> ParsePort(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return ParseDecimal<uint16_t>(text);
}

bool ParseLine(std::string_view line, ProxyHeader* header) {
  const std::string_view family = TakeWord(&line);
  if (family == "UNKNOWN") return header->local = true;
  if (family != "TCP4" && family != "TCP6") return false;
  const std::string_view source = TakeWord(&line), destination = TakeWord(&line);
  // No header names an interface of ours ("fe80::1%eth0").
  if (source.find('%') != source.npos || destination.find('%') != source.npos) return false;
  const auto source_port = ParsePort(TakeWord(&line));
  const auto destination_port = ParsePort(line);
  if (!source_port.has_value() || !destination_port.has_value()) return false;
  const auto from = Address::Ip(source, *source_port);
  const auto to = Address::Ip(destination, *destination_port);
  const int wanted = family == "TCP4" ? AF_INET : AF_INET6;
  if (!from.ok() || !to.ok() || from->family() != wanted || to->family() != wanted) return false;
  header->source = *from;
  header->destination = *to;
  return true;
}

ProxyHeader Parse1(std::string_view bytes) {
  ProxyHeader header;
  header.version = 1;
  const size_t end = bytes.substr(0, kMaxLine).find("\r\n");
  if (end == std::string_view::npos) {
    header.state = bytes.size() < kMaxLine ? State::kNeedMore : State::kBad;
    return header;
  }
  header.size = end + 2;
  const std::string_view line = bytes.substr(kSignature1.size(), end - kSignature1.size());
  header.state = ParseLine(line, &header) ? State::kDone : State::kBad;
  return header;
}

uint16_t ReadPort(const char* at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(at[0]) << 8 |
                               static_cast<unsigned char>(at[1]));
}

Address ReadIp(int family, const char* at, uint16_t port) {
  if (family == AF_INET) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    std::memcpy(&address.sin_addr, at, sizeof(address.sin_addr));
    return Address::From(reinterpret_cast<sockaddr*>(&address), sizeof(address));
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  std::memcpy(&address.sin6_addr, at, sizeof(address.sin6_addr));
  return Address::From(reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

// What follows the fixed part; false when it is too short for its family.
bool ReadAddresses(uint8_t family_and_transport, std::string_view body, ProxyHeader* header) {
  const int family = family_and_transport == 0x11   ? AF_INET
                     : family_and_transport == 0x21 ? AF_INET6
                                                    : AF_UNSPEC;
  if (family == AF_UNSPEC) return header->local = true;
  const size_t size = family == AF_INET ? 4 : 16;
  if (body.size() < 2 * size + 4) return false;
  const char* at = body.data();
  header->source = ReadIp(family, at, ReadPort(at + 2 * size));
  header->destination = ReadIp(family, at + size, ReadPort(at + 2 * size + 2));
  return true;
}

ProxyHeader Parse2(std::string_view bytes) {
  ProxyHeader header;
  header.version = 2;
  if (bytes.size() < kFixedPart) return header;
  const auto version_and_command = static_cast<uint8_t>(bytes[12]);
  header.size = kFixedPart + ReadPort(&bytes[14]);
  const int command = version_and_command & 0x0f;
  if (version_and_command >> 4 != 2 || command > 1 || header.size > kMaxProxyHeader) {
    header.state = State::kBad;
    return header;
  }
  if (bytes.size() < header.size) return header;
  const std::string_view body = bytes.substr(kFixedPart, header.size - kFixedPart);
  header.local = command == 0;
  const bool good = header.local || ReadAddresses(static_cast<uint8_t>(bytes[13]), body, &header);
  header.state = good ? State::kDone : State::kBad;
  return header;
}

void AppendPort(uint16_t port, std::string* out) {
  out->push_back(static_cast<char>(port >> 8));
  out->push_back(static_cast<char>(port & 0xff));
}

void AppendIp(const Address& address, std::string* out) {
  if (address.family() == AF_INET) {
    out->append(reinterpret_cast<const char*>(&address.v4().sin_addr), 4);
  } else {
    out->append(reinterpret_cast<const char*>(&address.v6().sin6_addr), 16);
  }
}

std::string Write2(bool known, const Address& source, const Address& destination) {
  std::string out(kSignature2);
  out.push_back(known ? 0x21 : 0x20);
  const bool v4 = known && source.family() == AF_INET;
  out.push_back(static_cast<char>(!known ? 0x00 : v4 ? 0x11 : 0x21));
  AppendPort(static_cast<uint16_t>(!known ? 0 : v4 ? 12 : 36), &out);
  if (!known) return out;
  AppendIp(source, &out);
  AppendIp(destination, &out);
  AppendPort(source.port(), &out);
  AppendPort(destination.port(), &out);
  return out;
}

}  // namespace

ProxyHeader ParseProxyHeader(std::string_view bytes) {
  const auto begins = [bytes](std::string_view signature) {
    const size_t size = std::min(bytes.size(), signature.size());
    return bytes.substr(0, size) == signature.substr(0, size);
  };
  ProxyHeader header;
  if (begins(kSignature1)) {
    if (bytes.size() >= kSignature1.size()) return Parse1(bytes);
  } else if (begins(kSignature2)) {
    if (bytes.size() >= kSignature2.size()) return Parse2(bytes);
  } else {
    header.state = State::kAbsent;
  }
  return header;
}

std::string WriteProxyHeader(int version, const Address& source, const Address& destination) {
  const bool known = source.is_ip() && source.family() == destination.family();
  if (version == 2) return Write2(known, source, destination);
  if (!known) return "PROXY UNKNOWN\r\n";
  return Cat("PROXY ", source.family() == AF_INET ? "TCP4 " : "TCP6 ", source.IpString(), " ",
             destination.IpString(), " ", source.port(), " ", destination.port(), "\r\n");
}

}  // namespace sluice
