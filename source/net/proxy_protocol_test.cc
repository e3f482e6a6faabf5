// PROXY protocol headers: what is read, what is refused, and that every cut of a header waits.
#include "source/net/proxy_protocol.h"

#include <catch2/catch.hpp>

#include "source/base/strings.h"

namespace sluice {
namespace {

using State = ProxyHeader::State;
using namespace std::string_literals;

Address Ip(std::string_view literal, uint16_t port) {
  return *Address::Ip(literal, port);
}

std::string Shown(std::string_view bytes) {
  const ProxyHeader header = ParseProxyHeader(bytes);
  switch (header.state) {
    case State::kNeedMore:
      return "more";
    case State::kAbsent:
      return "absent";
    case State::kBad:
      return "bad";
    case State::kDone:
      break;
  }
  return Cat(
      "v", header.version, " ", header.size, " ",
      header.local ? "local" : Cat(header.source.ToString(), " ", header.destination.ToString()));
}

const std::string kV2 = "\r\n\r\n\0\r\nQUIT\n"s;

TEST_CASE("What PROXY headers say") {
  struct Row {
    std::string bytes, meaning;
  };
  const std::string line = "PROXY TCP4 1.2.3.4 5.6.7.8 1111 80\r\n";
  for (const Row& row : {
           Row{line, Cat("v1 ", line.size(), " 1.2.3.4:1111 5.6.7.8:80")},
           Row{line + "GET /", Cat("v1 ", line.size(), " 1.2.3.4:1111 5.6.7.8:80")},
           Row{"PROXY TCP6 ::1 2001:db8::2 1 65535\r\n", "v1 36 [::1]:1 [2001:db8::2]:65535"},
           Row{"PROXY UNKNOWN\r\n", "v1 15 local"},
           Row{"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "v1 59 local"},
           Row{"PROXY TCP4 1.2.3.4 5.6.7.8 1111 65536\r\n", "bad"},
           Row{"PROXY TCP4 1.2.3.4 5.6.7.8 1111 080\r\n", "bad"},
           Row{"PROXY TCP4 1.2.3.4 5.6.7.8 1111\r\n", "bad"},
           Row{"PROXY TCP4 1.2.3.4  5.6.7.8 1111 80\r\n", "bad"},
           Row{"PROXY TCP4 ::1 ::1 1111 80\r\n", "bad"},
           Row{"PROXY TCP6 1.2.3.4 5.6.7.8 1111 80\r\n", "bad"},
           Row{"PROXY UDP4 1.2.3.4 5.6.7.8 1111 80\r\n", "bad"},
           Row{"PROXY TCP4 a b 1 1\r\n", "bad"},
           Row{"PROXY " + std::string(101, 'x'), "bad"},
           Row{"PROXX TCP4", "absent"},
           Row{"GET / HTTP/1.1\r\n", "absent"},
           Row{"", "more"},
           Row{kV2 + "\x20\x00\0\0"s, "v2 16 local"},
           Row{kV2 + "\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x04\x57\0\x50rest"s,
               "v2 28 1.2.3.4:1111 5.6.7.8:80"},
           // Parts behind the addresses are skipped.
           Row{kV2 + "\x21\x11\0\x10\x01\x02\x03\x04\x05\x06\x07\x08\x04\x57\0\x50\x04\0\x01x"s,
               "v2 32 1.2.3.4:1111 5.6.7.8:80"},
           Row{kV2 + "\x21\x31\0\0"s, "v2 16 local"},
           Row{kV2 + "\x21\x11\0\x0b\x01\x02\x03\x04\x05\x06\x07\x08\x04\x57\0"s, "bad"},
           Row{kV2 + "\x31\x11\0\0"s, "bad"},
           Row{kV2 + "\x22\x11\0\0"s, "bad"},
           Row{kV2 + "\x21\x11\xff\xff"s, "bad"},
       }) {
    INFO(row.meaning);
    CHECK(Shown(row.bytes) == row.meaning);
  }
}

TEST_CASE("What is written is read again, and every cut of it waits") {
  struct Row {
    Address source, destination;
  };
  for (const Row& row :
       {Row{Ip("1.2.3.4", 1111), Ip("5.6.7.8", 443)}, Row{Ip("2001:db8::1", 1), Ip("::1", 65535)},
        Row{Ip("::1", 1), Ip("1.2.3.4", 2)}, Row{Address(), Address()}}) {
    for (const int version : {1, 2}) {
      const std::string bytes = WriteProxyHeader(version, row.source, row.destination);
      const ProxyHeader header = ParseProxyHeader(bytes + "more");
      REQUIRE(header.state == State::kDone);
      CHECK(header.version == version);
      CHECK(header.size == bytes.size());
      CHECK(header.local ==
            (row.source.family() != row.destination.family() || !row.source.is_set()));
      if (!header.local) {
        CHECK(header.source == row.source);
        CHECK(header.destination == row.destination);
      }
      for (size_t size = 0; size < bytes.size(); ++size)
        CHECK(Shown(std::string_view(bytes).substr(0, size)) == "more");
    }
  }
}

}  // namespace
}  // namespace sluice
