// Caches by name, resolvers by configuration, and the conversion of Envoy's messages.
#include "source/upstream/dns/dns_cache_manager.h"

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

#include "api/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"
#include "source/upstream/dns/dns_config.h"
#include "source/upstream/testing/scripted_resolver.h"

namespace sluice {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::core::v3::TypedExtensionConfig;
using envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;

template <class Message>
Message Parse(const std::string& text) {
  Message message;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

TypedExtensionConfig Cares(const std::string& text) {
  TypedExtensionConfig config;
  config.set_name("envoy.network.dns_resolver.cares");
  config.mutable_typed_config()->PackFrom(
      Parse<envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig>(text));
  return config;
}

struct Fixture {
  stats::Store store;
  Worker main{Worker::kMain, 1};
  std::vector<CaresOptions> made;
  DnsCacheManager manager{main, 1, store, [this](const CaresOptions& options) {
                            made.push_back(options);
                            return std::make_unique<testing::ScriptedResolver>();
                          }};
};

TEST_CASE("one cache a name; other settings are an error") {
  Fixture f;
  const auto first =
      f.manager.GetCache(Parse<DnsCacheConfig>("name: 'c' dns_lookup_family: V4_ONLY"));
  const auto same =
      f.manager.GetCache(Parse<DnsCacheConfig>("dns_lookup_family: V4_ONLY name: 'c'"));
  const auto other =
      f.manager.GetCache(Parse<DnsCacheConfig>("name: 'd' dns_lookup_family: V4_ONLY"));
  REQUIRE(first.ok());
  REQUIRE(same.ok());
  REQUIRE(other.ok());
  CHECK(*first == *same);
  CHECK(*first != *other);
  CHECK(f.manager.caches().size() == 2);
  CHECK(f.made.size() == 1);
  const auto different =
      f.manager.GetCache(Parse<DnsCacheConfig>("name: 'c' dns_lookup_family: ALL"));
  CHECK(different.status().message() == "config specified DNS cache 'c' with different settings");
}

TEST_CASE("all stats of a cache exist from the start") {
  Fixture f;
  REQUIRE(f.manager
              .GetCache(Parse<DnsCacheConfig>(
                  "name: 'c' dns_cache_circuit_breaker { max_pending_requests { value: 7 } }"))
              .ok());
  std::string names;
  f.store.Visit([&](const stats::Metric& metric) { names += metric.name + "\n"; });
  CHECK(names ==
        "dns_cache.c.cache_load\ndns_cache.c.circuit_breakers.rq_pending_open\ndns_cache.c.circuit_"
        "breakers.rq_pending_remaining\n"
        "dns_cache.c.dns_address_filter_out\ndns_cache.c.dns_query_attempt\ndns_cache.c.dns_query_"
        "failure\ndns_cache.c.dns_query_success\n"
        "dns_cache.c.dns_query_timeout\ndns_cache.c.dns_rq_pending_overflow\ndns_cache.c.host_"
        "added\ndns_cache.c.host_address_changed\n"
        "dns_cache.c.host_overflow\ndns_cache.c.host_removed\ndns_cache.c.num_hosts\n");
  CHECK(f.store.Value("dns_cache.c.circuit_breakers.rq_pending_remaining") == 7);
  const DnsCacheManager real(f.main, 1, f.store);
  CHECK(f.store.Value("dns.cares.resolve_total") == 0);
}

TEST_CASE("resolvers are shared by equal configurations") {
  Fixture f;
  const TypedExtensionConfig own = Cares(
      "resolvers { socket_address { address: '127.0.0.1' port_value: 5353 } } query_tries { value: "
      "2 }");
  const auto by_default = f.manager.GetResolver(nullptr);
  const auto first = f.manager.GetResolver(&own);
  const auto second = f.manager.GetResolver(&own);
  REQUIRE(by_default.ok());
  REQUIRE(first.ok());
  CHECK(*first == *second);
  CHECK(*first != *by_default);
  REQUIRE(f.made.size() == 2);
  CHECK(f.made[0].resolvers.empty());
  CHECK(f.made[1].resolvers.at(0).ToString() == "127.0.0.1:5353");

  Fixture g;
  REQUIRE(g.manager.SetDefaultResolver(own).ok());
  REQUIRE(g.manager.GetResolver(nullptr).ok());
  CHECK(g.made.at(0).query_tries == 2);
}

TEST_CASE("the c-ares message") {
  const auto options = CaresOptionsOf(Cares(R"(
      resolvers { socket_address { address: '::1' port_value: 53 } }
      use_resolvers_as_fallback: true
      dns_resolver_options { use_tcp_for_dns_lookups: true no_default_search_domain: true }
      query_timeout_seconds { value: 9 } query_tries { value: 3 })"));
  REQUIRE(options.ok());
  CHECK(options->resolvers.at(0).ToString() == "[::1]:53");
  CHECK(options->use_resolvers_as_fallback);
  CHECK(options->use_tcp);
  CHECK(options->no_default_search_domain);
  CHECK(options->query_timeout == std::chrono::seconds(9));
  CHECK(options->query_tries == 3);
  CHECK(CaresOptionsOf(Cares(""))->query_timeout == std::chrono::seconds(5));
  CHECK(CaresOptionsOf(Cares(""))->query_tries == 4);
  CHECK(
      CaresOptionsOf(
          Cares(
              "query_tries { value: 4000000000 } query_timeout_seconds { value: 10000000000000 }"))
          ->query_tries == 100);
  CHECK_FALSE(
      CaresOptionsOf(Cares("resolvers { socket_address { address: 'dns.t' port_value: 53 } }"))
          .ok());
  CHECK_FALSE(CaresOptionsOf(Cares("resolvers { pipe { path: '/x' } }")).ok());
  TypedExtensionConfig unknown;
  unknown.set_name("x");
  unknown.mutable_typed_config()->PackFrom(DnsCacheConfig());
  CHECK_FALSE(CaresOptionsOf(unknown).ok());
}

TEST_CASE("the cache message") {
  const auto all = DnsCacheOptionsOf(Parse<DnsCacheConfig>(R"(
      name: 'c' dns_lookup_family: V4_PREFERRED dns_refresh_rate { seconds: 7 } dns_min_refresh_rate { seconds: 2 }
      host_ttl { nanos: 500000000 } max_hosts { value: 9 } disable_dns_refresh_on_failure: true
      dns_failure_refresh_rate { base_interval { seconds: 1 } max_interval { seconds: 4 } }
      dns_cache_circuit_breaker { max_pending_requests { value: 0 } }
      preresolve_hostnames { address: 'a.t' port_value: 443 } dns_query_timeout {}
      resolved_address_filter { ranges { address_prefix: '10.0.0.0' prefix_len { value: 8 } } })"));
  REQUIRE(all.ok());
  CHECK(all->family == LookupFamily::kV4Preferred);
  CHECK(all->refresh_rate == std::chrono::seconds(7));
  CHECK(all->min_refresh_rate == std::chrono::seconds(2));
  CHECK(all->host_ttl == std::chrono::milliseconds(500));
  CHECK(all->max_hosts == 9);
  CHECK(all->disable_refresh_on_failure);
  CHECK(all->failure_refresh.base == std::chrono::seconds(1));
  CHECK(all->failure_refresh.max == std::chrono::seconds(4));
  CHECK(all->max_pending_requests == 0);
  CHECK(all->preresolve.at(0).host == "a.t");
  CHECK(all->query_timeout == Duration::zero());
  CHECK(all->address_filter.Matches(*Address::Ip("10.1.1.1", 0)));
  const auto inverted = DnsCacheOptionsOf(
      Parse<DnsCacheConfig>("name: 'c' resolved_address_filter { invert_match: true ranges { "
                            "address_prefix: '10.0.0.0' prefix_len { value: 8 } } }"));
  REQUIRE(inverted.ok());
  CHECK(inverted->address_filter.Matches(*Address::Ip("8.8.8.8", 0)));
  CHECK_FALSE(inverted->address_filter.Matches(*Address::Ip("10.1.1.1", 0)));
  const auto none = DnsCacheOptionsOf(Parse<DnsCacheConfig>("name: 'c'"));
  REQUIRE(none.ok());
  CHECK(none->family == LookupFamily::kAuto);
  CHECK(none->refresh_rate == std::chrono::seconds(60));
  CHECK(none->host_ttl == std::chrono::minutes(5));
  CHECK(none->max_pending_requests == 1024);
  CHECK(none->query_timeout == std::chrono::seconds(5));

  const auto many = DnsCacheOptionsOf(
      Parse<DnsCacheConfig>("name: 'x' max_hosts { value: 1 } preresolve_hostnames { address: 'a' "
                            "port_value: 1 } preresolve_hostnames { address: 'b' port_value: 1 }"));
  CHECK(many.status().message() ==
        "DNS Cache [x] configured with preresolve_hostnames=2 larger than max_hosts=1");
  for (const char* bad :
       {"preresolve_hostnames { address: 'a b' port_value: 1 }",
        "resolved_address_filter { ranges { address_prefix: 'a.t' } }",
        "resolved_address_filter { ranges { address_prefix: '10.0.0.0' prefix_len { value: 40 } } "
        "}",
        "dns_failure_refresh_rate { base_interval { seconds: 4 } max_interval { seconds: 1 } }"}) {
    CAPTURE(bad);
    CHECK_FALSE(DnsCacheOptionsOf(Parse<DnsCacheConfig>(std::string("name: 'c' ") + bad)).ok());
  }
}

TEST_CASE("a cluster's look-ups") {
  const DnsTrackerOptions none = DnsTrackerOptionsOf(Cluster(), "a.t");
  CHECK(none.name == "a.t");
  CHECK(none.refresh_rate == std::chrono::seconds(5));
  CHECK_FALSE(none.respect_ttl);
  const DnsTrackerOptions all = DnsTrackerOptionsOf(
      Parse<Cluster>("dns_lookup_family: V6_ONLY dns_refresh_rate { seconds: 9 } respect_dns_ttl: "
                     "true dns_failure_refresh_rate { base_interval { seconds: 2 } }"),
      "b");
  CHECK(all.family == LookupFamily::kV6Only);
  CHECK(all.refresh_rate == std::chrono::seconds(9));
  CHECK(all.failure_refresh.base == std::chrono::seconds(2));
  CHECK(all.respect_ttl);
}

}  // namespace
}  // namespace sluice
