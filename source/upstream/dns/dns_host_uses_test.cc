// Names of a DNS cache: their limits, and which of them have statistics.
#include "source/upstream/dns/dns_host_uses.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

constexpr HostResource kRequests = HostResource::kRequests;

struct Fixture {
  explicit Fixture(uint32_t max_stats) : uses(store.Root().Sub("host"), 2, max_stats) {}

  std::string Names() {
    std::string names;
    store.Visit([&](const stats::Metric& metric) {
      if (metric.name.ends_with(".rq_total")) names += metric.name + " ";
    });
    return names;
  }

  stats::Store store;
  DnsHostUses uses;
};

TEST_CASE("a limit holds over all workers, and may change") {
  Fixture f(0);
  f.uses.SetLimits(0, 0, 3);
  const auto use = f.uses.Enter("a.t");
  REQUIRE(f.uses.Enter("a.t") == use);  // another port
  for (int i = 0; i < 3; ++i) {
    REQUIRE(use->Admits(kRequests));
    use->Add(kRequests, i % 2, 1);
  }
  CHECK_FALSE(use->Admits(kRequests));
  CHECK(use->Admits(HostResource::kConnections));
  f.uses.SetLimits(0, 0, 4);
  CHECK(use->Admits(kRequests));
  f.uses.SetLimits(0, 0, 0);
  CHECK(use->Admits(kRequests));
  f.uses.SetLimits(0, 0, 3);
  use->Add(kRequests, 1, -1);
  CHECK(use->Admits(kRequests));
}

// Each worker used to be sure of its even share, whatever the others had.
TEST_CASE("regression: one worker may use all of a limit, and then no other gets anything") {
  Fixture f(0);
  f.uses.SetLimits(0, 0, 2);
  const auto use = f.uses.Enter("a.t");
  use->Add(kRequests, 0, 2);
  CHECK_FALSE(use->Admits(kRequests));
}

TEST_CASE("what still runs counts when its name comes back") {
  Fixture f(0);
  f.uses.SetLimits(0, 0, 1);
  const auto use = f.uses.Enter("a.t");
  use->Add(kRequests, 0, 1);
  f.uses.Leave("a.t");
  CHECK(f.uses.Enter("a.t") == use);
}

TEST_CASE("the busiest have statistics until they leave") {
  Fixture f(2);
  const auto a = f.uses.Enter("a.t"), b = f.uses.Enter("b.t"), c = f.uses.Enter("c.t");
  a->Count(HostCount::kRqTotal, 0);
  for (int i = 0; i < 2; ++i) b->Count(HostCount::kRqTotal, i);
  for (int i = 0; i < 3; ++i) c->Count(HostCount::kRqTotal, 0);
  c->Add(kRequests, 1, 1);
  CHECK(f.Names().empty());
  f.uses.Refresh();
  CHECK(f.Names() == "host.b.t.rq_total host.c.t.rq_total ");
  CHECK(f.store.Value("host.b.t.rq_total") == 2);
  CHECK(f.store.Value("host.c.t.rq_total") == 3);
  CHECK(f.store.Value("host.c.t.rq_active") == 1);
  f.uses.Leave("c.t");
  CHECK(f.Names() == "host.b.t.rq_total ");
  f.uses.Refresh();
  CHECK(f.Names() == "host.a.t.rq_total host.b.t.rq_total ");
  f.store.ResetCounters();
  b->Count(HostCount::kRqTotal, 0);
  f.uses.Refresh();
  CHECK(f.store.Value("host.b.t.rq_total") == 1);
}

TEST_CASE("a name below another one outlives it") {
  Fixture f(10);
  const auto outer = f.uses.Enter("t"), inner = f.uses.Enter("t.example");
  inner->Count(HostCount::kRqTotal, 0);
  f.uses.Refresh();
  f.uses.Leave("t");
  f.uses.Refresh();
  CHECK(f.Names() == "host.t.example.rq_total ");
  CHECK(f.store.Value("host.t.example.rq_total") == 1);
}

}  // namespace
}  // namespace sluice
