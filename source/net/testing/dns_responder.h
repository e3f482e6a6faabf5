// DnsResponder: a small DNS server for unit tests on a port of 127.0.0.1, UDP and TCP, that answers
// as a function says. The function runs on the server's own thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "source/net/address.h"

namespace sluice::testing {

class DnsResponder {
 public:
  static constexpr int kTypeA = 1, kTypeCname = 5, kTypeAaaa = 28;

  struct Question {
    std::string name;  // lower case, without the final dot
    int type = 0;
    bool is_tcp = false;
    int count = 0;  // how many questions the server had before
  };
  struct Reply {
    int code = 0;  // 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
    std::vector<std::string>
        addresses;  // literals; those of another type than the question's are left out
    uint32_t ttl = 30;
    std::string cname;  // the addresses belong to this name
    bool silent = false;
    bool truncated = false;     // over UDP only
    bool forged_first = false;  // a packet with another id and address 6.6.6.6 goes out first
  };
  using Script = std::function<Reply(const Question&)>;

  explicit DnsResponder(Script script);
  ~DnsResponder();

  uint16_t port() const { return port_; }
  Address address() const { return Address::Ipv4(0x7f000001, port_); }
  int questions() const { return questions_; }

 private:
  void Run();
  void ServeUdp();
  void ServeTcp();
  std::string Answer(std::string_view packet, bool is_tcp, std::string* forged);

  const Script script_;
  int udp_ = -1, tcp_ = -1, stop_[2] = {-1, -1};
  uint16_t port_ = 0;
  std::atomic<int> questions_{0};
  std::thread thread_;
};

}  // namespace sluice::testing
