// Which filter chain a connection gets.
#include "source/server/listeners/filter_chains.h"

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

namespace sluice {
namespace {

using Proto = envoy::config::listener::v3::FilterChainMatch;

ChainMatch Match(const std::string& text) {
  Proto proto;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &proto));
  auto match = ChainMatch::Of(proto);
  REQUIRE(match.ok());
  return *match;
}

struct Client {
  std::string local = "10.0.0.1";
  uint16_t port = 80;
  std::string remote = "192.0.2.7";
  uint16_t remote_port = 4000;
  std::string direct = {};
  std::string name = {};
  std::string transport = "raw_buffer";
};

ConnectionOrigin FactsOf(const Client& client) {
  ConnectionOrigin facts;
  facts.local = *Address::Ip(client.local, client.port);
  facts.remote = *Address::Ip(client.remote, client.remote_port);
  if (!client.direct.empty()) {
    facts.AddFindings().direct = {facts.local, *Address::Ip(client.direct, client.remote_port)};
  }
  facts.AddFindings().requested_server_name = client.name;
  facts.AddFindings().transport_protocol = client.transport;
  return facts;
}

// The names of the matches are their texts.
std::string Found(const std::vector<std::string>& matches, const Client& client,
                  bool with_default = false) {
  FilterChainTable table;
  for (const std::string& match : matches) table.Add(Match(match), {{match, nullptr, nullptr}, {}});
  if (with_default) table.SetDefault({{"default", nullptr, nullptr}, {}});
  const NetworkChain* chain = table.Find(FactsOf(client));
  return chain == nullptr ? "none" : chain->facts.name;
}

TEST_CASE("A connection gets the chain that fits it best") {
  const std::string any,
      port80 = "destination_port { value: 80 }", port443 = "destination_port { value: 443 }",
      net10 = "prefix_ranges { address_prefix: '10.0.0.0' prefix_len { value: 8 } }",
      host10 = "prefix_ranges { address_prefix: '10.0.0.1' prefix_len { value: 32 } }",
      from192 = "source_prefix_ranges { address_prefix: '192.0.2.0' prefix_len { value: 24 } }",
      direct =
          "direct_source_prefix_ranges { address_prefix: '198.51.100.0' prefix_len { value: 24 } }",
      local = "source_type: SAME_IP_OR_LOOPBACK", external = "source_type: EXTERNAL",
      from4000 = "source_ports: 4000", tls = "transport_protocol: 'tls'",
      raw = "transport_protocol: 'raw_buffer'", a = "server_names: 'a.example.com'",
      wild = "server_names: '*.example.com'", wilder = "server_names: '*.com'";
  CHECK(Found({any}, {}) == any);
  CHECK(Found({port443}, {}) == "none");
  CHECK(Found({port443}, {}, true) == "default");
  CHECK(Found({any, port80}, {}) == port80);
  CHECK(Found({port80, port443}, {.port = 443}) == port443);
  CHECK(Found({net10, host10}, {}) == host10);
  CHECK(Found({net10, host10}, {.local = "10.9.9.9"}) == net10);
  CHECK(Found({net10, any}, {.local = "172.16.0.1"}) == any);
  CHECK(Found({from192, any}, {}) == from192);
  CHECK(Found({from192, any}, {.remote = "192.0.3.7"}) == any);
  CHECK(Found({direct, any}, {.direct = "198.51.100.1"}) == direct);
  CHECK(Found({direct, any}, {}) == any);
  CHECK(Found({local, external}, {}) == external);
  CHECK(Found({local, external}, {.remote = "127.0.0.1"}) == local);
  CHECK(Found({local, external}, {.remote = "10.0.0.1"}) == local);
  CHECK(Found({from4000, any}, {}) == from4000);
  CHECK(Found({from4000, any}, {.remote_port = 4001}) == any);
  CHECK(Found({tls, raw}, {}) == raw);
  CHECK(Found({tls, raw}, {.transport = "tls"}) == tls);
  CHECK(Found({a, wild, wilder, any}, {.name = "a.example.com"}) == a);
  CHECK(Found({a, wild, wilder, any}, {.name = "b.example.com"}) == wild);
  CHECK(Found({a, wild, wilder, any}, {.name = "example.com"}) == wilder);
  CHECK(Found({a, wild, wilder, any}, {.name = "x.org"}) == any);
  CHECK(Found({a, wild, wilder, any}, {}) == any);
}

TEST_CASE("An earlier criterion wins over all later ones, but for the port") {
  const std::string host = "prefix_ranges { address_prefix: '10.0.0.1' prefix_len { value: 32 } }";
  const std::string elsewhere = host + " source_ports: 9";
  const std::string source = "source_ports: 4000";
  // The best destination is chosen first, and its source does not match: there is no way back.
  CHECK(Found({elsewhere, source}, {}) == "none");
  CHECK(Found({elsewhere, source}, {}, true) == "default");
  CHECK(Found({"destination_port { value: 80 } source_ports: 9", source}, {}) == source);
}

TEST_CASE("Matches that cannot be") {
  for (const char* text :
       {"server_names: 'a.*'", "server_names: '*'", "server_names: '.example.com'",
        "prefix_ranges { address_prefix: 'x' }",
        "source_prefix_ranges { address_prefix: '10.0.0.0' prefix_len { value: 33 } }"}) {
    Proto proto;
    REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &proto));
    INFO(text);
    CHECK(!ChainMatch::Of(proto).ok());
  }
}

}  // namespace
}  // namespace sluice
