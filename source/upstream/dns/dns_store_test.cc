// The file of a DNS cache: its format, its limit, and what a damaged one is worth.
#include "source/upstream/dns/dns_store.h"

#include <unistd.h>

#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>

#include "source/base/strings.h"

namespace sluice {
namespace {

DnsStore::Host HostOf(std::vector<std::string> literals, int64_t time) {
  DnsStore::Host host;
  for (const std::string& literal : literals)
    host.addresses.push_back({*Address::Ip(literal, 80), std::chrono::seconds(60)});
  host.resolved_at = time;
  return host;
}

std::string TextOf(const std::map<std::string, DnsStore::Host>& hosts) {
  return DnsStore::Print(hosts);
}

TEST_CASE("The format of the file") {
  const std::string good =
      TextOf({{"a.t:80", HostOf({"10.0.0.1", "::1"}, 100)}, {"b.t:80", HostOf({"10.0.0.2"}, 200)}});
  CHECK(good == "6\na.t:8034\n10.0.0.1:80|60|100\n[::1]:80|60|1006\nb.t:8018\n10.0.0.2:80|60|200");
  const auto hosts = DnsStore::Parse(good);
  REQUIRE(hosts.size() == 2);
  CHECK(hosts.at("a.t:80").addresses.at(1).address.ToString() == "[::1]:80");
  CHECK(hosts.at("a.t:80").addresses.at(0).ttl == std::chrono::seconds(60));
  CHECK(hosts.at("b.t:80").resolved_at == 200);
  CHECK(TextOf(hosts) == good);
}

TEST_CASE("What can be read of a damaged file counts") {
  const std::string good =
      TextOf({{"a.t:80", HostOf({"10.0.0.1"}, 100)}, {"b.t:80", HostOf({"10.0.0.2"}, 200)}});
  for (size_t size = 0; size < good.size(); ++size)
    CHECK(DnsStore::Parse(std::string_view(good).substr(0, size)).size() <= 1);
  CHECK(DnsStore::Parse("6\na.t:804\nnope" + good).size() == 2);
  CHECK(DnsStore::Parse("99999999\n").empty());
  CHECK(DnsStore::Parse("-1\n").empty());
}

TEST_CASE("A store keeps what was put, up to its limit") {
  const std::string path =
      Cat(std::getenv("TEST_TMPDIR") == nullptr ? "/tmp" : std::getenv("TEST_TMPDIR"),
          "/dns_store.", ::getpid());
  {
    DnsStore store({path, std::chrono::seconds(30), 2});
    CHECK(store.hosts().empty());
    store.Put("a.t:80", HostOf({"10.0.0.1"}, 100));
    store.Put("b.t:80", HostOf({"10.0.0.2"}, 200));
    store.Put("c.t:80", HostOf({"10.0.0.3"}, 300));
    CHECK(store.hosts().size() == 2);
    CHECK(!store.hosts().contains("a.t:80"));
    store.Remove("b.t:80");
    CHECK(store.Flush().ok());
  }
  {
    const DnsStore again({path, std::chrono::seconds(30), 2});
    CHECK(again.hosts().size() == 1);
    CHECK(again.hosts().contains("c.t:80"));
  }
  ::unlink(path.c_str());
  DnsStore nowhere({"/no/such/folder/x", std::chrono::seconds(30), 2});
  nowhere.Put("a.t:80", HostOf({"10.0.0.1"}, 100));
  CHECK(!nowhere.Flush().ok());
}

}  // namespace
}  // namespace sluice
