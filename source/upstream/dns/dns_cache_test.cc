// The DNS cache over a scripted resolver, with a main worker and two workers on threads of their
// own.
#include "source/upstream/dns/dns_cache.h"

#include <future>

#include <catch2/catch.hpp>

#include "source/base/reason.h"
#include "source/upstream/testing/scripted_resolver.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::ScriptedResolver;

constexpr auto kPatience = std::chrono::seconds(10);

// An outcome as a test compares it: the addresses, or the details of the error.
using Text = std::string;

Text TextOf(const absl::StatusOr<HostRef>& result) {
  if (!result.ok()) return DetailsOf(result.status());
  Text text;
  for (const Address& address : (*result)->addresses)
    text += (text.empty() ? "" : " ") + address.ToString();
  return text;
}

Task<> Put(DnsCache& cache, Worker& worker, std::string authority,
           std::shared_ptr<std::promise<Text>> promise) {
  promise->set_value(TextOf(co_await cache.Resolve(worker, authority, 80)));
}

class Fixture {
 public:
  explicit Fixture(DnsCacheOptions options)
      : cache(Named(std::move(options)), resolver, main, 2, store) {
    for (int i = 0; i < 2; ++i) workers.push_back(std::make_unique<Worker>(i, 1));
  }
  ~Fixture() { Stop(); }

  void Start() {
    cache.Start(workers);
    main.Start();
    for (const auto& worker : workers) worker->Start();
  }
  void Stop() {
    if (stopped_) return;
    stopped_ = true;
    for (const auto& worker : workers) worker->Stop();
    for (const auto& worker : workers) worker->Join();
    main.Stop();
    main.Join();
  }

  std::future<Text> Begin(int worker, std::string authority) {
    auto promise = std::make_shared<std::promise<Text>>();
    workers[worker]->Post([this, worker, authority, promise] {
      workers[worker]->scope().Spawn(Put(cache, *workers[worker], authority, promise));
    });
    return promise->get_future();
  }
  static Text Get(std::future<Text> future) {
    return future.wait_for(kPatience) == std::future_status::ready ? future.get() : "(no answer)";
  }
  Text Ask(int worker, std::string authority) { return Get(Begin(worker, std::move(authority))); }

  // Find() on the worker's thread: "miss", the addresses or the error.
  Text Find(int worker, std::string authority) {
    return On(*workers[worker], [&]() -> Text {
      const absl::StatusOr<const HostRef*> found = cache.Find(worker, authority, 80);
      if (!found.ok()) return DetailsOf(found.status());
      return *found == nullptr ? "miss" : TextOf(**found);
    });
  }
  template <class Function>
  static auto On(Worker& worker, Function function) -> decltype(function()) {
    std::promise<decltype(function())> promise;
    worker.Post([&] { promise.set_value(function()); });
    return promise.get_future().get();
  }

  int64_t Stat(const std::string& name) { return store.Value("dns_cache.c." + name); }
  template <class Condition>
  static bool Wait(Condition condition) {
    for (const TimePoint limit = Now() + kPatience; Now() < limit; std::this_thread::yield()) {
      if (condition()) return true;
    }
    return false;
  }
  // Until the statistic is at least that.
  bool WaitStat(const std::string& name, int64_t value) {
    return Wait([&] { return Stat(name) >= value; });
  }

  static DnsCacheOptions Named(DnsCacheOptions options) {
    options.name = "c";
    return options;
  }

  stats::Store store;
  ScriptedResolver resolver;
  Worker main{Worker::kMain, 1};
  std::vector<std::unique_ptr<Worker>> workers;
  DnsCache cache;

 private:
  bool stopped_ = false;
};

constexpr char kNotFound[] = "dns_resolution_failure{cares_norecords:Domain_name_not_found}";
constexpr char kServfail[] =
    "dns_resolution_failure{cares_failure:DNS_server_returned_general_failure}";
constexpr char kBadName[] = "dns_resolution_failure{cares_failure:Misformatted_domain_name}";

TEST_CASE("a miss is looked up once and is then a hit on every worker") {
  Fixture f({});
  f.resolver.Set("a.t", {"192.0.2.1", "192.0.2.2"});
  f.Start();
  CHECK(f.Find(0, "a.t") == "miss");
  CHECK(f.Ask(0, "a.t") == "192.0.2.1:80 192.0.2.2:80");
  CHECK(f.Ask(1, "A.T.") == "192.0.2.1:80 192.0.2.2:80");
  CHECK(f.Find(0, "a.t:80") == "192.0.2.1:80 192.0.2.2:80");
  CHECK(f.Find(1, "a.T.:80") == "192.0.2.1:80 192.0.2.2:80");
  CHECK(f.resolver.asked("a.t") == 1);
  CHECK(f.Stat("dns_query_attempt") == 1);
  CHECK(f.Stat("dns_query_success") == 1);
  CHECK(f.Stat("host_added") == 1);
  CHECK(f.Stat("host_address_changed") == 1);
  CHECK(f.Stat("num_hosts") == 1);
  // Another port is another host.
  CHECK(f.Ask(0, "a.t:81") == "192.0.2.1:81 192.0.2.2:81");
  CHECK(f.Stat("num_hosts") == 2);
  const auto hosts = f.On(f.main, [&] { return f.cache.Hosts(); });
  REQUIRE(hosts.size() == 2);
  CHECK(hosts[0].key == "a.t:80");
  CHECK(hosts[0].ttl == std::chrono::seconds(3600));
  CHECK(hosts[0].host->details == "cares_success:Successful_completion");
  CHECK(hosts[0].host->slot != hosts[1].host->slot);
}

TEST_CASE("misses of one host coalesce, over workers and requests") {
  Fixture f({});
  f.resolver.Set("a.t", {"192.0.2.1"});
  f.resolver.Hold("a.t");
  f.Start();
  std::vector<std::future<Text>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(f.Begin(i % 2, "a.t"));
  REQUIRE(f.Wait([&] { return f.Stat("circuit_breakers.rq_pending_remaining") == 1024 - 50; }));
  f.resolver.Release(f.main, "a.t");
  for (auto& future : futures) CHECK(f.Get(std::move(future)) == "192.0.2.1:80");
  CHECK(f.resolver.asked("a.t") == 1);
  CHECK(f.Wait([&] { return f.Stat("circuit_breakers.rq_pending_remaining") == 1024; }));
}

TEST_CASE("failures have their words, and negatives are answered from the cache") {
  Fixture f({});
  f.resolver.Fail("bad.t");
  f.resolver.Set("empty.t", std::vector<std::string>{});
  f.Start();
  CHECK(f.Ask(0, "nx.t") == kNotFound);
  CHECK(f.Ask(0, "bad.t") == kServfail);
  CHECK(f.Ask(0, "empty.t") ==
        "dns_resolution_failure{cares_norecords:DNS_server_returned_answer_with_no_data}");
  CHECK(f.Ask(1, "nx.t") == kNotFound);
  CHECK(f.Find(0, "nx.t") == kNotFound);
  CHECK(f.Find(0, "bad.t") == kServfail);
  CHECK(f.resolver.asked("nx.t") == 1);
  CHECK(f.resolver.asked("bad.t") == 1);
  CHECK(f.Stat("dns_query_success") == 2);
  CHECK(f.Stat("dns_query_failure") == 1);
  CHECK(f.Stat("num_hosts") == 3);
  // What is no host at all takes no place and asks nobody.
  for (const char* bad : {"a.t:99999", "a.t:", "u@a.t", "a.t,b.t", "127.1"}) {
    CAPTURE(bad);
    CHECK(f.Ask(0, bad) == kBadName);
  }
  CHECK(f.Ask(0, "") == "empty_host_header");
  CHECK(f.Stat("dns_query_attempt") == 3);
}

TEST_CASE("a silent resolver is given up after dns_query_timeout") {
  DnsCacheOptions options;
  options.query_timeout = milliseconds(30);
  Fixture f(options);
  f.resolver.Hold("a.t");
  f.Start();
  CHECK(f.Ask(0, "a.t") == "dns_resolution_failure{resolve_timeout}");
  CHECK(f.Stat("dns_query_timeout") == 1);
  CHECK(f.Stat("dns_query_failure") == 1);
}

TEST_CASE("literals need no packet, count as hosts and work under every family") {
  for (const LookupFamily family :
       {LookupFamily::kAuto, LookupFamily::kV4Only, LookupFamily::kV6Only}) {
    DnsCacheOptions options;
    options.family = family;
    Fixture f(options);
    f.Start();
    CHECK(f.Ask(0, "127.0.0.1:9") == "127.0.0.1:9");
    CHECK(f.Ask(0, "[0::1]:9") == "[::1]:9");
    CHECK(f.Find(0, "[::1]:9") == "[::1]:9");
    CHECK(f.Stat("dns_query_attempt") == 2);
    CHECK(f.Stat("host_added") == 2);
  }
}

TEST_CASE("max_hosts refuses new names only") {
  DnsCacheOptions options;
  options.max_hosts = 1;
  Fixture f(options);
  f.resolver.Set("a.t", {"192.0.2.1"});
  f.Start();
  CHECK(f.Ask(0, "a.t") == "192.0.2.1:80");
  CHECK(f.Ask(1, "b.t") == "dns_cache_overflow");
  CHECK(f.Ask(0, "127.0.0.1") == "dns_cache_overflow");
  CHECK(f.Ask(1, "a.t") == "192.0.2.1:80");
  CHECK(f.Stat("host_overflow") == 2);
  CHECK(f.Stat("num_hosts") == 1);
}

TEST_CASE("the pending breaker comes before everything") {
  SECTION("zero fails hits and empty hosts alike") {
    DnsCacheOptions options;
    options.max_pending_requests = 0;
    options.preresolve = {{"a.t", 80}};
    Fixture f(options);
    f.resolver.Set("a.t", {"192.0.2.1"});
    f.Start();
    REQUIRE(f.WaitStat("host_address_changed", 1));
    for (const char* authority : {"a.t", "b.t", ""})
      CHECK(f.Ask(0, authority) == "dynamic_forward_proxy_pending_request_overflow");
    CHECK(f.Stat("dns_rq_pending_overflow") == 3);
    CHECK(f.Stat("circuit_breakers.rq_pending_open") == 1);
    CHECK(f.Stat("circuit_breakers.rq_pending_remaining") == 0);
  }
  SECTION("one pending request blocks the others, on every worker, until it ends") {
    DnsCacheOptions options;
    options.max_pending_requests = 1;
    Fixture f(options);
    f.resolver.Set("a.t", {"192.0.2.1"});
    f.resolver.Set("b.t", {"192.0.2.2"});
    f.resolver.Hold("a.t");
    f.Start();
    CHECK(f.Ask(1, "b.t") == "192.0.2.2:80");
    std::future<Text> pending = f.Begin(0, "a.t");
    REQUIRE(f.WaitStat("circuit_breakers.rq_pending_open", 1));
    CHECK(f.Ask(1, "b.t") == "dynamic_forward_proxy_pending_request_overflow");
    CHECK(f.Ask(0, "c.t") == "dynamic_forward_proxy_pending_request_overflow");
    f.resolver.Release(f.main, "a.t");
    CHECK(f.Get(std::move(pending)) == "192.0.2.1:80");
    REQUIRE(f.Wait([&] { return f.Stat("circuit_breakers.rq_pending_open") == 0; }));
    CHECK(f.Stat("circuit_breakers.rq_pending_remaining") == 1);
    CHECK(f.Ask(1, "b.t") == "192.0.2.2:80");
  }
}

DnsCacheOptions Fast() {
  DnsCacheOptions options;
  options.refresh_rate = milliseconds(10);
  options.min_refresh_rate = milliseconds(10);
  return options;
}

TEST_CASE("a new address list reaches the workers; a rotated one is no change") {
  Fixture f(Fast());
  f.resolver.Set("a.t", {"192.0.2.1", "192.0.2.2"}, std::chrono::seconds(0));
  f.Start();
  CHECK(f.Ask(0, "a.t") == "192.0.2.1:80 192.0.2.2:80");
  f.resolver.Set("a.t", {"192.0.2.2", "192.0.2.1"}, std::chrono::seconds(0));
  REQUIRE(f.WaitStat("dns_query_success", f.Stat("dns_query_success") + 3));
  CHECK(f.Stat("host_address_changed") == 1);
  f.resolver.Set("a.t", {"192.0.2.3"}, std::chrono::seconds(0));
  for (int worker = 0; worker < 2; ++worker)
    CHECK(f.Wait([&] { return f.Find(worker, "a.t") == "192.0.2.3:80"; }));
  CHECK(f.Stat("host_address_changed") == 2);
}

TEST_CASE("an address outlives failures and empty answers") {
  Fixture f(Fast());
  f.resolver.Set("a.t", {"192.0.2.1"}, std::chrono::seconds(0));
  f.Start();
  CHECK(f.Ask(0, "a.t") == "192.0.2.1:80");
  f.resolver.Fail("a.t");
  REQUIRE(f.WaitStat("dns_query_failure", 3));
  CHECK(f.Find(0, "a.t") == "192.0.2.1:80");
  f.resolver.Set("a.t", std::vector<std::string>{});
  REQUIRE(f.WaitStat("dns_query_success", f.Stat("dns_query_success") + 3));
  CHECK(f.Find(0, "a.t") == "192.0.2.1:80");
  CHECK(f.Stat("host_address_changed") == 1);
}

TEST_CASE("a negative is asked for again in the background and turns into addresses") {
  Fixture f(Fast());
  f.Start();
  CHECK(f.Ask(0, "a.t") == kNotFound);
  f.resolver.Set("a.t", {"192.0.2.1"});
  CHECK(f.Wait([&] { return f.Find(1, "a.t") == "192.0.2.1:80"; }));
  CHECK(f.Find(0, "a.t") == "192.0.2.1:80");
}

TEST_CASE("the TTL of the first record is the refresh rate, above the floor") {
  DnsCacheOptions options = Fast();
  Fixture f(options);
  f.resolver.Set("long.t", {"192.0.2.1"}, std::chrono::seconds(3600));
  f.resolver.Set("short.t", {"192.0.2.2"}, std::chrono::seconds(0));
  f.Start();
  CHECK(f.Ask(0, "long.t") == "192.0.2.1:80");
  CHECK(f.Ask(0, "short.t") == "192.0.2.2:80");
  REQUIRE(f.Wait([&] { return f.resolver.asked("short.t") >= 5; }));
  CHECK(f.resolver.asked("long.t") == 1);
}

TEST_CASE("failures back off at their own rate") {
  DnsCacheOptions options;
  options.failure_refresh = {milliseconds(2), milliseconds(10)};
  Fixture f(options);
  f.resolver.Fail("a.t");
  f.Start();
  CHECK(f.Ask(0, "a.t") == kServfail);
  CHECK(f.Wait([&] { return f.resolver.asked("a.t") >= 4; }));
}

TEST_CASE("disable_dns_refresh_on_failure forgets a failed host, but not a missing name") {
  DnsCacheOptions options = Fast();
  options.disable_refresh_on_failure = true;
  options.refresh_rate = std::chrono::hours(1);
  Fixture f(options);
  f.resolver.Fail("a.t");
  f.Start();
  CHECK(f.Ask(0, "a.t") == kServfail);
  // Those who wait are told first.
  REQUIRE(f.WaitStat("host_removed", 1));
  CHECK(f.Stat("num_hosts") == 0);
  CHECK(f.Find(0, "a.t") == "miss");
  f.resolver.Set("a.t", {"192.0.2.1"}, std::chrono::seconds(3600));
  CHECK(f.Ask(1, "a.t") == "192.0.2.1:80");
  CHECK(f.resolver.asked("a.t") == 2);
  CHECK(f.Ask(0, "nx.t") == kNotFound);
  CHECK(f.Find(0, "nx.t") == kNotFound);
}

TEST_CASE("filtered addresses are dropped; none left is a failure that keeps the old address") {
  DnsCacheOptions options = Fast();
  options.address_filter.ranges = {*CidrRange::Make("10.0.0.0", 8)};
  Fixture f(options);
  f.resolver.Set("mixed.t", {"10.0.0.1", "192.0.2.1"}, std::chrono::seconds(3600));
  f.resolver.Set("inner.t", {"10.0.0.1", "10.0.0.2"});
  f.resolver.Set("rebind.t", {"192.0.2.9"}, std::chrono::seconds(0));
  f.Start();
  CHECK(f.Ask(0, "mixed.t") == "192.0.2.1:80");
  CHECK(f.Stat("dns_address_filter_out") == 1);
  CHECK(f.Ask(0, "inner.t") == "dns_resolution_failure{address_denied}");
  CHECK(f.Ask(0, "10.9.9.9") == "dns_resolution_failure{address_denied}");
  CHECK(f.Ask(0, "rebind.t") == "192.0.2.9:80");
  f.resolver.Set("rebind.t", {"10.0.0.1"}, std::chrono::seconds(0));
  REQUIRE(f.WaitStat("dns_query_failure", f.Stat("dns_query_failure") + 6));
  CHECK(f.Find(0, "rebind.t") == "192.0.2.9:80");
}

TEST_CASE("an unused host goes after host_ttl, long before its TTL; one in use stays") {
  DnsCacheOptions options;
  options.host_ttl = milliseconds(200);
  Fixture f(options);
  f.resolver.Set("idle.t", {"192.0.2.1"});
  f.resolver.Set("busy.t", {"192.0.2.2"});
  f.Start();
  CHECK(f.Ask(0, "busy.t") == "192.0.2.2:80");
  CHECK(f.Ask(0, "idle.t") == "192.0.2.1:80");
  bool is_busy_kept = true;
  REQUIRE(f.Wait([&] {
    is_busy_kept = is_busy_kept && f.Find(1, "busy.t") == "192.0.2.2:80";
    return f.Stat("host_removed") == 1;
  }));
  CHECK(is_busy_kept);
  for (int worker = 0; worker < 2; ++worker)
    CHECK(f.Wait([&] { return f.Find(worker, "idle.t") == "miss"; }));
  CHECK(f.Ask(1, "idle.t") == "192.0.2.1:80");
  CHECK(f.resolver.asked("idle.t") == 2);
}

class Watcher final : public DnsCacheObserver {
 public:
  void OnHostChanged(const ResolvedHostPtr& host) override { Note("changed " + host->key); }
  void OnHostRemoved(const ResolvedHostPtr& host) override { Note("removed " + host->key); }
  void OnWorkerDropped(int worker, const ResolvedHost& host, const ResolvedHost* next) override {
    Note("worker " + std::to_string(worker) + " dropped " + host.addresses.at(0).ToString() +
         (next == nullptr ? " for ever" : " for " + next->addresses.at(0).ToString()));
  }
  int Count(const std::string& text) {
    std::lock_guard lock(mutex_);
    return static_cast<int>(std::count(notes_.begin(), notes_.end(), text));
  }

 private:
  void Note(std::string text) {
    std::lock_guard lock(mutex_);
    notes_.push_back(std::move(text));
  }
  std::mutex mutex_;
  std::vector<std::string> notes_;
};

TEST_CASE("observers hear of changes on the main thread and on the workers") {
  DnsCacheOptions options = Fast();
  options.host_ttl = milliseconds(300);
  Fixture f(options);
  f.resolver.Set("a.t", {"192.0.2.1"}, std::chrono::seconds(0));
  const auto early = std::make_shared<Watcher>();
  const auto late = std::make_shared<Watcher>();
  f.cache.AddObserver(early);
  f.cache.AddObserver(std::make_shared<Watcher>());  // Gone at once.
  f.Start();
  CHECK(f.Ask(0, "a.t") == "192.0.2.1:80");
  f.On(f.main, [&] {
    f.cache.AddObserver(late);
    return 0;
  });
  CHECK(late->Count("changed a.t:80") == 1);
  f.resolver.Set("a.t", {"192.0.2.2"}, std::chrono::seconds(0));
  for (const auto& watcher : {early, late}) {
    for (const char* text :
         {"worker 0 dropped 192.0.2.1:80 for 192.0.2.2:80",
          "worker 1 dropped 192.0.2.1:80 for 192.0.2.2:80", "removed a.t:80",
          "worker 0 dropped 192.0.2.2:80 for ever", "worker 1 dropped 192.0.2.2:80 for ever"}) {
      CAPTURE(text);
      CHECK(f.Wait([&] { return watcher->Count(text) == 1; }));
    }
    CHECK(watcher->Count("changed a.t:80") == 2);
  }
}

TEST_CASE("configured names are resolved before anybody asks") {
  DnsCacheOptions options;
  options.preresolve = {{"a.t", 443}, {"A.t.", 443}, {"::1", 80}};
  Fixture f(options);
  f.resolver.Set("a.t", {"192.0.2.1"});
  f.Start();
  CHECK(f.Wait([&] { return f.Find(1, "a.t:443") == "192.0.2.1:443"; }));
  CHECK(f.Wait([&] { return f.Find(0, "[::1]") == "[::1]:80"; }));
  CHECK(f.Stat("num_hosts") == 2);
}

TEST_CASE("a shutdown ends waiting requests, and nothing is touched afterwards") {
  Fixture f(Fast());
  f.resolver.Hold("a.t");
  f.resolver.Set("b.t", {"192.0.2.1"}, std::chrono::seconds(0));
  f.Start();
  CHECK(f.Ask(0, "b.t") == "192.0.2.1:80");  // Refreshes every 10 ms while we stop.
  std::vector<std::future<Text>> futures;
  for (int i = 0; i < 20; ++i) futures.push_back(f.Begin(i % 2, "a.t"));
  REQUIRE(f.Wait([&] { return f.Stat("circuit_breakers.rq_pending_remaining") == 1024 - 20; }));
  f.Stop();
  for (auto& future : futures)
    CHECK(f.Get(std::move(future)) == "downstream_local_disconnect(drained)");
  CHECK(f.Stat("circuit_breakers.rq_pending_remaining") == 1024);
}

TEST_CASE("a storm of distinct names stays within max_hosts") {
  DnsCacheOptions options;
  options.max_hosts = 100;
  Fixture f(options);
  f.Start();
  std::vector<std::future<Text>> futures;
  for (int i = 0; i < 1000; ++i) futures.push_back(f.Begin(i % 2, "n" + std::to_string(i) + ".t"));
  int negative = 0, overflow = 0;
  for (auto& future : futures) {
    const Text text = f.Get(std::move(future));
    negative += text == kNotFound;
    overflow += text == "dns_cache_overflow";
  }
  CHECK(negative == 100);
  CHECK(overflow == 900);
  CHECK(f.Stat("num_hosts") == 100);
}

}  // namespace
}  // namespace sluice
