// Wire format by hand (RFC 1035 section 4), one thread over poll().
#include "source/net/testing/dns_responder.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>

namespace sluice::testing {
namespace {

constexpr size_t kHeader = 12;
constexpr int kPairAttempts = 50;

void Put16(std::string& out, uint32_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

std::string NameBytes(const std::string& name) {
  std::string out;
  size_t start = 0;
  while (start < name.size()) {
    const size_t end = std::min(name.find('.', start), name.size());
    out += static_cast<char>(end - start);
    out += name.substr(start, end - start);
    start = end + 1;
  }
  return out + '\0';
}

void PutRecord(std::string& out, const std::string& name, int type, uint32_t ttl,
               const std::string& data) {
  out += name;
  Put16(out, static_cast<uint32_t>(type));
  Put16(out, 1);
  Put16(out, ttl >> 16);
  Put16(out, ttl);
  Put16(out, static_cast<uint32_t>(data.size()));
  out += data;
}

std::string AddressBytes(const Address& address) {
  if (address.family() == AF_INET)
    return {reinterpret_cast<const char*>(&address.v4().sin_addr), 4};
  return {reinterpret_cast<const char*>(&address.v6().sin6_addr), 16};
}

// A UDP and a TCP socket on the same free port.
bool BindPair(int& udp, int& tcp, uint16_t& port) {
  for (int i = 0; i < kPairAttempts; ++i) {
    udp = ::socket(AF_INET, SOCK_DGRAM, 0);
    tcp = ::socket(AF_INET, SOCK_STREAM, 0);
    const Address any = Address::Ipv4(0x7f000001, 0);
    sockaddr_in bound{};
    socklen_t length = sizeof(bound);
    if (::bind(udp, any.data(), any.size()) == 0 &&
        ::getsockname(udp, reinterpret_cast<sockaddr*>(&bound), &length) == 0) {
      const Address same = any.WithPort(ntohs(bound.sin_port));
      if (::bind(tcp, same.data(), same.size()) == 0 && ::listen(tcp, 64) == 0) {
        port = same.port();
        return true;
      }
    }
    ::close(udp);
    ::close(tcp);
  }
  return false;
}

}  // namespace

DnsResponder::DnsResponder(Script script) : script_(std::move(script)) {
  if (!BindPair(udp_, tcp_, port_) || ::pipe(stop_) != 0) std::abort();
  thread_ = std::thread([this] { Run(); });
}

DnsResponder::~DnsResponder() {
  if (::write(stop_[1], "x", 1) != 1) std::abort();
  thread_.join();
  for (const int fd : {udp_, tcp_, stop_[0], stop_[1]}) ::close(fd);
}

void DnsResponder::Run() {
  pollfd fds[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {stop_[0], POLLIN, 0}};
  while (::poll(fds, 3, -1) > 0 && fds[2].revents == 0) {
    if (fds[0].revents != 0) ServeUdp();
    if (fds[1].revents != 0) ServeTcp();
  }
}

void DnsResponder::ServeUdp() {
  char buffer[4096];
  sockaddr_in peer{};
  socklen_t length = sizeof(peer);
  const ssize_t n =
      ::recvfrom(udp_, buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&peer), &length);
  if (n < static_cast<ssize_t>(kHeader)) return;
  std::string forged;
  const std::string answer = Answer({buffer, static_cast<size_t>(n)}, false, &forged);
  for (const std::string& packet : {forged, answer}) {
    if (!packet.empty())
      ::sendto(udp_, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&peer), length);
  }
}

void DnsResponder::ServeTcp() {
  const int fd = ::accept(tcp_, nullptr, nullptr);
  if (fd < 0) return;
  const timeval patience{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  unsigned char size[2];
  char buffer[4096];
  if (::recv(fd, size, 2, MSG_WAITALL) == 2) {
    const size_t wanted = static_cast<size_t>(size[0] << 8 | size[1]);
    if (wanted <= sizeof(buffer) &&
        ::recv(fd, buffer, wanted, MSG_WAITALL) == static_cast<ssize_t>(wanted)) {
      std::string out;
      const std::string answer = Answer({buffer, wanted}, true, nullptr);
      Put16(out, static_cast<uint32_t>(answer.size()));
      out += answer;
      if (!answer.empty() && ::send(fd, out.data(), out.size(), MSG_NOSIGNAL) > 0)
        ::recv(fd, size, 1, 0);  // Until the peer closes.
    }
  }
  ::close(fd);
}

std::string DnsResponder::Answer(std::string_view packet, bool is_tcp, std::string* forged) {
  Question question;
  size_t at = kHeader;
  while (at < packet.size() && packet[at] != 0) {
    const size_t size = static_cast<unsigned char>(packet[at]);
    if (!question.name.empty()) question.name += '.';
    for (const char c : packet.substr(at + 1, size))
      question.name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    at += size + 1;
  }
  if (at + 5 > packet.size()) return {};
  question.type =
      static_cast<unsigned char>(packet[at + 1]) << 8 | static_cast<unsigned char>(packet[at + 2]);
  question.is_tcp = is_tcp;
  question.count = questions_++;
  const Reply reply = script_(question);
  if (reply.silent) return {};

  const std::string asked(packet.substr(kHeader, at + 1 - kHeader));
  const bool is_cut = reply.truncated && !is_tcp;
  std::string records;
  uint32_t count = 0;
  if (!reply.cname.empty()) {
    PutRecord(records, asked, kTypeCname, reply.ttl, NameBytes(reply.cname));
    ++count;
  }
  for (const std::string& literal : reply.addresses) {
    const Address address = *Address::Ip(literal, 0);
    if (is_cut || (question.type == kTypeA) != (address.family() == AF_INET)) continue;
    PutRecord(records, reply.cname.empty() ? asked : NameBytes(reply.cname), question.type,
              reply.ttl, AddressBytes(address));
    ++count;
  }
  std::string out(packet.substr(0, 2));
  Put16(out, 0x8180u | (is_cut ? 0x0200u : 0u) | static_cast<uint32_t>(reply.code));
  Put16(out, 1);
  Put16(out, count);
  Put16(out, 0);
  Put16(out, 0);
  out += packet.substr(kHeader, at + 5 - kHeader);
  if (forged != nullptr && reply.forged_first) {
    *forged = out;
    (*forged)[0] = static_cast<char>((*forged)[0] ^ 0x5a);
    (*forged)[7] = 1;
    PutRecord(*forged, asked, kTypeA, 60, std::string(4, '\6'));
  }
  return out + records;
}

}  // namespace sluice::testing
