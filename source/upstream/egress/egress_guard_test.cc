// The egress guard: what each policy makes of hosts, ports and addresses. One thread.
#include "source/upstream/egress/egress_guard.h"

#include <catch2/catch.hpp>

#include <google/protobuf/text_format.h>

#include "source/base/reason.h"
#include "source/base/strings.h"
#include "source/http/arena.h"

namespace sluice {
namespace {

using Outcome = EgressGuard::Decision::Outcome;

Address Ip(std::string_view literal, uint16_t port = 80) {
  return *Address::Ip(literal, port);
}

struct Fixture {
  OwnListeners own;
  std::shared_ptr<const EgressGuard> Make(const std::string& text) {
    EgressGuard::Proto config;
    REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
    config::Diagnostics diagnostics;
    auto guard = EgressGuard::Build(config, own, "", diagnostics);
    INFO(diagnostics.ToString());
    REQUIRE(diagnostics.ok());
    return guard;
  }
  // "" when allowed.
  static std::string Rule(const EgressGuard& guard, std::string_view host, std::string_view address,
                          uint16_t port = 80) {
    const auto decision = guard.Decide(host, port, {Ip(address, port)});
    CHECK((decision.outcome == Outcome::kDenied) == decision.addresses.empty());
    return decision.rule.ToString();
  }
};

TEST_CASE("by default only global addresses are dialled") {
  Fixture fixture;
  const auto guard = fixture.Make("");
  CHECK(guard->enforces());
  const std::pair<const char*, const char*> cases[] = {
      {"1.1.1.1", ""},
      {"2606:4700::1111", ""},
      {"64:ff9b::101:101", ""},
      {"127.0.0.1", "loopback"},
      {"0.0.0.0", "unspecified"},
      {"10.1.2.3", "private"},
      {"100.64.0.1", "carrier_nat"},
      {"169.254.1.1", "link_local"},
      {"169.254.169.254", "metadata"},
      {"168.63.129.16", "metadata"},
      {"224.0.0.1", "multicast"},
      {"255.255.255.255", "broadcast"},
      {"192.0.2.1", "documentation"},
      {"198.18.0.1", "reserved"},
      {"::", "unspecified"},
      {"::1", "loopback"},
      {"::ffff:127.0.0.1", "loopback"},
      {"::127.0.0.1", "loopback"},
      {"64:ff9b::7f00:1", "loopback"},
      {"64:ff9b:1::1", "reserved"},
      {"2002:7f00:1::", "loopback"},
      {"2001:0:7f00:1::", "loopback"},
      {"2001:db8::1", "documentation"},
      {"2606::5efe:10.0.0.1", "private"},
      {"fec0::1", "site_local"},
      {"fd00::1", "unique_local"},
      {"fd00:ec2::254", "metadata"},
      {"fe80::1", "link_local"},
  };
  for (const auto& [address, rule] : cases) {
    INFO(address);
    CHECK(Fixture::Rule(*guard, "h.example", address) == rule);
  }
}

TEST_CASE("metadata names and port 0 are denied before any look-up") {
  Fixture fixture;
  const auto guard = fixture.Make("");
  CHECK(guard->CheckHost("metadata.google.internal", 80).ToString() == "metadata_host");
  CHECK(guard->CheckHost("example.com", 0).ToString() == "port");
  CHECK_FALSE(guard->CheckHost("example.com", 65535).denies());
  const auto opened = fixture.Make("allow_hosts { exact: 'metadata.google.internal' }");
  CHECK_FALSE(opened->CheckHost("metadata.google.internal", 80).denies());
  CHECK(Fixture::Rule(*opened, "metadata.google.internal", "169.254.169.254") == "metadata");
}

TEST_CASE("ranges: allow opens, deny wins, in every spelling") {
  Fixture fixture;
  const auto guard = fixture.Make(
      "allow_ranges { address_prefix: '127.0.0.0' prefix_len { value: 8 } }"
      "allow_ranges { address_prefix: 'fd00::' prefix_len { value: 8 } }"
      "deny_ranges { address_prefix: '1.1.1.0' prefix_len { value: 24 } }"
      "deny_ranges { address_prefix: '127.0.0.9' prefix_len { value: 32 } }");
  const std::pair<const char*, const char*> cases[] = {
      {"127.0.0.1", ""},
      {"::ffff:127.0.0.1", ""},
      {"fd00::1", ""},
      {"127.0.0.9", "deny_ranges[1]"},
      {"::ffff:127.0.0.9", "deny_ranges[1]"},
      {"1.1.1.1", "deny_ranges[0]"},
      {"64:ff9b::1.1.1.1", "deny_ranges[0]"},
      {"2002:101:101::", "deny_ranges[0]"},
      {"2606::5efe:1.1.1.1", "deny_ranges[0]"},
      {"1.1.2.1", ""},
      {"10.0.0.1", "private"},
      {"::1", "loopback"},
  };
  for (const auto& [address, rule] : cases) {
    INFO(address);
    CHECK(Fixture::Rule(*guard, "h.example", address) == rule);
  }
}

TEST_CASE("hosts and ports") {
  Fixture fixture;
  const auto guard = fixture.Make(
      "allow_hosts { suffix: '.example.com' } allow_hosts { exact: '1.1.1.1' }"
      "deny_hosts { exact: 'no.example.com' }"
      "ports { start: 443 end: 444 } ports { start: 8000 end: 9000 }");
  CHECK(Fixture::Rule(*guard, "a.example.com", "1.1.1.1", 443) == "");
  CHECK(Fixture::Rule(*guard, "1.1.1.1", "1.1.1.1", 8999) == "");
  CHECK(Fixture::Rule(*guard, "a.example.com", "1.1.1.1", 9000) == "port");
  CHECK(Fixture::Rule(*guard, "a.example.com", "1.1.1.1", 80) == "port");
  CHECK(Fixture::Rule(*guard, "no.example.com", "1.1.1.1", 443) == "deny_hosts[0]");
  CHECK(Fixture::Rule(*guard, "example.org", "1.1.1.1", 443) == "not_allowed_host");
  CHECK(Fixture::Rule(*guard, "a.example.com", "10.0.0.1", 443) == "private");
}

TEST_CASE("of a mixed answer only what is allowed is left") {
  Fixture fixture;
  const auto guard = fixture.Make("");
  const auto decision = guard->Decide(
      "mixed.example", 80, {Ip("127.0.0.1"), Ip("1.1.1.1"), Ip("::1"), Ip("2606:4700::1")});
  CHECK(decision.outcome == Outcome::kAllowed);
  CHECK(decision.addresses == std::vector<Address>{Ip("1.1.1.1"), Ip("2606:4700::1")});
  const auto denied = guard->Decide("bad.example", 80, {Ip("127.0.0.1"), Ip("::1")});
  CHECK(denied.outcome == Outcome::kDenied);
  CHECK(ReasonOf(denied.status()) == Reason::kEgressDenied);
  CHECK(DetailsOf(denied.status()) == "egress_denied{loopback}");
}

TEST_CASE("our own listeners are dialled in no mode") {
  Fixture fixture;
  fixture.own.Add(Ip("127.0.0.1", 1000));
  fixture.own.Add(Ip("0.0.0.0", 2000));
  fixture.own.Add(Ip("::", 3000));
  const std::pair<const char*, uint16_t> ours[] = {
      {"127.0.0.1", 1000}, {"::ffff:127.0.0.1", 1000}, {"0.0.0.0", 1000},
      {"127.0.0.1", 2000}, {"127.9.9.9", 2000},        {"0.0.0.0", 2000},
      {"::1", 3000},       {"127.0.0.1", 3000},        {"::", 3000},
  };
  const std::pair<const char*, uint16_t> others[] = {{"127.0.0.1", 1001},  {"127.0.0.2", 1000},
                                                     {"::1", 1000},        {"::1", 2000},
                                                     {"192.0.2.77", 2000}, {"2001:db8::77", 3000}};
  for (const char* policy : {"mode: DISABLED", "mode: REPORT",
                             "allow_ranges { address_prefix: '0.0.0.0' prefix_len { value: 0 } }"
                             "allow_ranges { address_prefix: '::' prefix_len { value: 0 } }"}) {
    const auto guard = fixture.Make(policy);
    for (const auto& [address, port] : ours) {
      INFO(policy << " " << address << " " << port);
      CHECK(Fixture::Rule(*guard, "h.example", address, port) == "own_listener");
    }
    for (const auto& [address, port] : others) {
      INFO(policy << " " << address << " " << port);
      CHECK(guard->Decide("h.example", port, {Ip(address, port)}).outcome != Outcome::kDenied);
    }
  }
}

TEST_CASE("reporting dials what it would deny; disabled checks nothing") {
  Fixture fixture;
  const auto report = fixture.Make("mode: REPORT deny_hosts { exact: 'no.example' }");
  const auto reported = report->Decide("h.example", 80, {Ip("127.0.0.1"), Ip("1.1.1.1")});
  CHECK(reported.outcome == Outcome::kReported);
  CHECK(reported.rule.ToString() == "loopback");
  CHECK(reported.addresses.size() == 2);
  CHECK(report->Decide("no.example", 80, {Ip("1.1.1.1")}).outcome == Outcome::kReported);
  CHECK(report->Decide("h.example", 80, {Ip("1.1.1.1")}).outcome == Outcome::kAllowed);
  const auto disabled = fixture.Make("mode: DISABLED deny_hosts { exact: 'no.example' }");
  CHECK(disabled->Decide("no.example", 80, {Ip("127.0.0.1")}).outcome == Outcome::kAllowed);
}

TEST_CASE("what cannot be understood is reported where it is") {
  OwnListeners own;
  const std::pair<const char*, const char*> cases[] = {
      {"allow_ranges { address_prefix: 'x' }", "allow_ranges[0]"},
      {"deny_ranges { address_prefix: '10.0.0.0' prefix_len { value: 33 } }", "deny_ranges[0]"},
      {"deny_hosts { safe_regex { regex: '(' } }", "deny_hosts[0]"},
      {"allow_hosts { }", "allow_hosts[0]"},
      {"ports { start: 5 end: 5 }", "ports[0]"},
  };
  for (const auto& [text, field] : cases) {
    EgressGuard::Proto config;
    REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
    config::Diagnostics diagnostics;
    (void)EgressGuard::Build(config, own, "a", diagnostics);
    INFO(text);
    REQUIRE(diagnostics.problems().size() == 1);
    CHECK(diagnostics.problems()[0].path == Cat("a.", field));
  }
}

TEST_CASE("the process has one policy, and says which") {
  stats::Store store;
  Egress egress(store.Root());
  CHECK(egress.guard().enforces());
  CHECK(egress.Notice().find("egress guard: enforcing: ") == 0);
  CHECK(egress.Notice().find("sluice.bootstrap.egress_guard") != std::string::npos);
  EgressGuard::Proto config;
  config.set_mode(EgressGuard::Proto::REPORT);
  config::Diagnostics diagnostics;
  CHECK(egress.SetGuard(EgressGuard::Build(config, egress.own(), "", diagnostics)).ok());
  CHECK_FALSE(egress.guard().enforces());
  CHECK(egress.Notice() == "egress guard: reporting only, as bootstrap_extensions says");
  CHECK_FALSE(egress.SetGuard(EgressGuard::Default(egress.own())).ok());
  egress.stats().CountDenied({EgressRule::kClass, AddressClass::kMetadata});
  egress.stats().CountDenied({EgressRule::kPort});
  CHECK(store.Value("egress_guard.denied") == 2);
  CHECK(store.Value("egress_guard.denied.metadata") == 1);
  CHECK(store.Value("egress_guard.denied.port") == 1);
}

TEST_CASE("a request is known by its mark, among the marks of others") {
  const LoopMark mark(0x0123456789abcdef);
  const LoopMark other(0xfedcba9876543210);
  Arena arena;
  Headers headers(arena);
  CHECK(mark.text() == "0123456789abcdef");
  CHECK_FALSE(mark.IsIn(headers));
  mark.AddTo(headers);
  CHECK(mark.IsIn(headers));
  CHECK_FALSE(other.IsIn(headers));
  other.AddTo(headers);
  CHECK(headers.Get("cdn-loop") == "0123456789abcdef, fedcba9876543210");
  CHECK(mark.IsIn(headers));
  // Somebody in between began a field of their own.
  Headers several(arena);
  several.AddCopy("CDN-Loop", "foo.example; a=b");
  several.AddCopy("cdn-loop", "fedcba9876543210");
  CHECK(other.IsIn(several));
  CHECK_FALSE(mark.IsIn(several));
}

}  // namespace
}  // namespace sluice
