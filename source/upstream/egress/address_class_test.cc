// Every special network at both of its ends, and every way of hiding an IPv4 address in an IPv6
// one.
#include "source/upstream/egress/address_class.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

using C = AddressClass;

TEST_CASE("classes of addresses") {
  struct Row {
    const char* literal;
    C expected;
  };
  const Row rows[] = {
      // IPv4
      {"0.0.0.0", C::kUnspecified},
      {"0.255.255.255", C::kUnspecified},
      {"1.0.0.0", C::kGlobal},
      {"8.8.8.8", C::kGlobal},
      {"9.255.255.255", C::kGlobal},
      {"10.0.0.0", C::kPrivate},
      {"10.255.255.255", C::kPrivate},
      {"11.0.0.0", C::kGlobal},
      {"100.63.255.255", C::kGlobal},
      {"100.64.0.0", C::kCarrierNat},
      {"100.127.255.255", C::kCarrierNat},
      {"100.128.0.0", C::kGlobal},
      {"126.255.255.255", C::kGlobal},
      {"127.0.0.1", C::kLoopback},
      {"127.255.255.255", C::kLoopback},
      {"128.0.0.0", C::kGlobal},
      {"169.253.255.255", C::kGlobal},
      {"169.254.0.1", C::kLinkLocal},
      {"169.254.255.255", C::kLinkLocal},
      {"169.255.0.0", C::kGlobal},
      {"172.15.255.255", C::kGlobal},
      {"172.16.0.0", C::kPrivate},
      {"172.31.255.255", C::kPrivate},
      {"172.32.0.0", C::kGlobal},
      {"192.0.0.1", C::kReserved},
      {"192.0.2.1", C::kDocumentation},
      {"192.0.3.0", C::kGlobal},
      {"192.88.99.1", C::kReserved},
      {"192.167.255.255", C::kGlobal},
      {"192.168.0.0", C::kPrivate},
      {"192.168.255.255", C::kPrivate},
      {"192.169.0.0", C::kGlobal},
      {"198.17.255.255", C::kGlobal},
      {"198.18.0.0", C::kReserved},
      {"198.19.255.255", C::kReserved},
      {"198.20.0.0", C::kGlobal},
      {"198.51.100.7", C::kDocumentation},
      {"203.0.113.7", C::kDocumentation},
      {"223.255.255.255", C::kGlobal},
      {"224.0.0.1", C::kMulticast},
      {"239.255.255.255", C::kMulticast},
      {"240.0.0.1", C::kReserved},
      {"255.255.255.254", C::kReserved},
      {"255.255.255.255", C::kBroadcast},
      // Metadata services
      {"169.254.169.254", C::kMetadata},
      {"169.254.170.2", C::kMetadata},
      {"169.254.170.23", C::kMetadata},
      {"100.100.100.200", C::kMetadata},
      {"192.0.0.192", C::kMetadata},
      {"168.63.129.16", C::kMetadata},
      {"fd00:ec2::254", C::kMetadata},
      {"fd00:ec2::23", C::kMetadata},
      {"fd20:ce::254", C::kMetadata},
      // IPv6
      {"::", C::kUnspecified},
      {"::1", C::kLoopback},
      {"2001:4860:4860::8888", C::kGlobal},
      {"2606:4700::1111", C::kGlobal},
      {"fe80::1", C::kLinkLocal},
      {"febf::1", C::kLinkLocal},
      {"fec0::1", C::kSiteLocal},
      {"feff::1", C::kSiteLocal},
      {"fc00::1", C::kUniqueLocal},
      {"fdff::1", C::kUniqueLocal},
      {"fe00::1", C::kReserved},
      {"ff02::1", C::kMulticast},
      {"2001:db8::1", C::kDocumentation},
      {"3fff:fff::1", C::kDocumentation},
      {"3fff:1000::1", C::kGlobal},
      {"2001:2::1", C::kReserved},
      {"2001:10::1", C::kReserved},
      {"2001:20::1", C::kReserved},
      {"100::1", C::kReserved},
      {"4000::1", C::kReserved},
      {"5f00::1", C::kReserved},
      {"1fff::1", C::kReserved},
      // Mapped, compatible, translated
      {"::ffff:127.0.0.1", C::kLoopback},
      {"::ffff:10.0.0.1", C::kPrivate},
      {"::ffff:169.254.169.254", C::kMetadata},
      {"::ffff:8.8.8.8", C::kGlobal},
      {"::ffff:0.0.0.0", C::kUnspecified},
      {"::127.0.0.1", C::kLoopback},
      {"::192.168.1.1", C::kPrivate},
      {"::8.8.8.8", C::kGlobal},
      {"::2", C::kUnspecified},
      {"::ffff:0:127.0.0.1", C::kLoopback},
      {"::ffff:0:8.8.8.8", C::kGlobal},
      // NAT64
      {"64:ff9b::7f00:1", C::kLoopback},
      {"64:ff9b::a9fe:a9fe", C::kMetadata},
      {"64:ff9b::808:808", C::kGlobal},
      {"64:ff9b:1::7f00:1", C::kLoopback},
      {"64:ff9b:1:7f00:0:100::", C::kLoopback},
      {"64:ff9b:1:7f:0:1::", C::kLoopback},
      {"64:ff9b:1:0:7f:0:100:0", C::kLoopback},
      {"64:ff9b:1::808:808", C::kReserved},
      {"64:ff9b:2::1", C::kReserved},
      // 6to4, Teredo (server; client inverted), ISATAP
      {"2002:7f00:1::", C::kLoopback},
      {"2002:a00:1::1", C::kPrivate},
      {"2002:808:808::1", C::kGlobal},
      {"2001:0:7f00:1::", C::kLoopback},
      {"2001:0:808:808:0:0:80ff:fffe", C::kLoopback},
      {"2001:0:808:808:0:0:f5ff:fffe", C::kPrivate},
      {"2001:0:808:808:0:0:f7f7:f7f7", C::kGlobal},
      {"2606:4700::5efe:7f00:1", C::kLoopback},
      {"2606:4700::200:5efe:c0a8:1", C::kPrivate},
      {"2606:4700::5efe:808:808", C::kGlobal},
      {"fe80::5efe:808:808", C::kLinkLocal},
  };
  for (const Row& row : rows) {
    CAPTURE(row.literal);
    const auto address = Address::Ip(row.literal, 443);
    REQUIRE(address.ok());
    CHECK(NameOf(Classify(*address)) == NameOf(row.expected));
  }
  CHECK(Classify(Address()) == C::kNotIp);
  CHECK(Classify(*Address::Unix("/run/x")) == C::kNotIp);
}

}  // namespace
}  // namespace sluice
