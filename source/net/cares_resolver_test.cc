// The c-ares resolver against a server of the test's own.
#include "source/net/cares_resolver.h"

#include <fstream>
#include <future>
#include <sstream>

#include <catch2/catch.hpp>

#include "source/net/testing/dns_responder.h"

namespace sluice {
namespace {

using testing::DnsResponder;
using Outcome = DnsAnswer::Outcome;

constexpr Duration kLong = std::chrono::seconds(20);

Task<> Put(Resolver& resolver, std::string name, LookupFamily family, Duration timeout,
           std::promise<DnsAnswer>& promise) {
  promise.set_value(co_await resolver.Resolve(std::move(name), family, timeout));
}

// A main worker on a thread of its own, with a resolver that asks `server`.
class Fixture {
 public:
  explicit Fixture(const DnsResponder& server, CaresOptions options = {})
      : stats_{NewCounter(), NewGauge(), NewCounter(), NewCounter(), NewCounter(), NewCounter()} {
    options.resolvers = {server.address()};
    options.no_default_search_domain = true;
    resolver_.emplace(worker_, options, stats_);
    worker_.Start();
  }
  ~Fixture() { Stop(); }

  void Stop() {
    if (stopped_) return;
    stopped_ = true;
    worker_.Stop();
    worker_.Join();
  }

  std::future<DnsAnswer> Begin(std::string name, LookupFamily family = LookupFamily::kV4Only,
                               Duration timeout = kLong) {
    auto promise = std::make_shared<std::promise<DnsAnswer>>();
    worker_.Post([this, name, family, timeout, promise] {
      promises_.push_back(promise);
      worker_.scope().Spawn(Put(*resolver_, name, family, timeout, *promise));
    });
    return promise->get_future();
  }
  DnsAnswer Ask(std::string name, LookupFamily family = LookupFamily::kV4Only,
                Duration timeout = kLong) {
    std::future<DnsAnswer> future = Begin(std::move(name), family, timeout);
    REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
    return future.get();
  }
  const CaresStats& stats() const { return stats_; }

 private:
  Worker worker_{Worker::kMain, 1};
  const CaresStats stats_;
  std::optional<CaresResolver> resolver_;
  std::vector<std::shared_ptr<std::promise<DnsAnswer>>> promises_;
  bool stopped_ = false;
};

std::string Text(const DnsAnswer& answer) {
  std::string text;
  for (const AddressWithTtl& a : answer.addresses)
    text += (text.empty() ? "" : " ") + a.address.IpString();
  return text;
}

DnsResponder::Reply Addresses(std::vector<std::string> addresses, uint32_t ttl = 30) {
  DnsResponder::Reply reply;
  reply.addresses = std::move(addresses);
  reply.ttl = ttl;
  return reply;
}

DnsResponder::Reply Zone(const DnsResponder::Question& q) {
  DnsResponder::Reply reply;
  if (q.name == "ok.t") return Addresses({"192.0.2.1", "192.0.2.2"}, 77);
  if (q.name == "nx.t") reply.code = 3;
  if (q.name == "servfail.t") reply.code = 2;
  if (q.name == "refused.t") reply.code = 5;
  if (q.name == "silent.t") reply.silent = true;
  if (q.name == "cut.t") {
    reply = Addresses({"192.0.2.3"});
    reply.truncated = true;
  }
  if (q.name == "forged.t") {
    reply = Addresses({"192.0.2.4"});
    reply.forged_first = true;
  }
  if (q.name == "alias.t") {
    reply = Addresses({"192.0.2.5"});
    reply.cname = "real.t";
  }
  if (q.name == "loop.t") reply.cname = "loop.t";
  if (q.name == "many.t") {
    for (int i = 0; i < 120; ++i) reply.addresses.push_back("192.0.2." + std::to_string(i));
    reply.truncated = true;  // More than a datagram holds.
  }
  if (q.name == "tcp.t" && q.is_tcp) reply = Addresses({"192.0.2.6"});
  if (q.name == "both.t")
    reply = Addresses({"192.0.2.7", "2001:db8::7", "192.0.2.8", "2001:db8::8"});
  if (q.name == "v4.t") reply = Addresses({"192.0.2.9"});
  if (q.name == "v6.t") reply = Addresses({"2001:db8::9"});
  if (q.name == "broken6.t") {
    reply = Addresses({"192.0.2.10"});
    if (q.type == DnsResponder::kTypeAaaa) reply.code = 2;
  }
  if (q.name == "silent6.t") {
    reply = Addresses({"192.0.2.11"});
    reply.silent = q.type == DnsResponder::kTypeAaaa;
  }
  return reply;
}

TEST_CASE("answers and their details") {
  const DnsResponder server(Zone);
  Fixture fixture(server);
  struct Row {
    const char *name, *details, *addresses;
    Outcome outcome;
  };
  const Row rows[] = {
      {"ok.t", "cares_success:Successful_completion", "192.0.2.1 192.0.2.2", Outcome::kCompleted},
      {"OK.t.", "cares_success:Successful_completion", "192.0.2.1 192.0.2.2", Outcome::kCompleted},
      {"nx.t", "cares_norecords:Domain_name_not_found", "", Outcome::kCompleted},
      {"empty.t", "cares_norecords:DNS_server_returned_answer_with_no_data", "",
       Outcome::kCompleted},
      {"servfail.t", "cares_failure:DNS_server_returned_general_failure", "", Outcome::kFailed},
      {"refused.t", "cares_failure:DNS_server_refused_query", "", Outcome::kFailed},
      {"cut.t", "cares_success:Successful_completion", "192.0.2.3", Outcome::kCompleted},
      {"forged.t", "cares_success:Successful_completion", "192.0.2.4", Outcome::kCompleted},
      {"alias.t", "cares_success:Successful_completion", "192.0.2.5", Outcome::kCompleted},
      {"loop.t", "cares_norecords:DNS_server_returned_answer_with_no_data", "",
       Outcome::kCompleted},
      {"a b.t", "cares_failure:Misformatted_domain_name", "", Outcome::kFailed},
      {"a:80", "cares_failure:Misformatted_domain_name", "", Outcome::kFailed},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const DnsAnswer answer = fixture.Ask(row.name);
    CHECK(answer.details == row.details);
    CHECK(Text(answer) == row.addresses);
    CHECK(answer.outcome == row.outcome);
  }
  CHECK(fixture.Ask("ok.t").addresses.at(0).ttl == std::chrono::seconds(77));
  CHECK(fixture.Ask("many.t").addresses.size() == DnsAnswer::kMaxAddresses);
  CHECK(Read(fixture.stats().not_found) == 3);
  CHECK(Read(fixture.stats().get_addr_failure) == 2);
  CHECK(Read(fixture.stats().reinits) == 2);
  CHECK(Read(fixture.stats().resolve_total) == 12);
  CHECK(Read(fixture.stats().pending_resolutions) == 0);
}

TEST_CASE("address families") {
  const DnsResponder server(Zone);
  Fixture fixture(server);
  using F = LookupFamily;
  struct Row {
    const char* name;
    F family;
    const char* addresses;
  };
  const Row rows[] = {
      {"both.t", F::kAuto, "2001:db8::7 2001:db8::8"},
      {"both.t", F::kV4Only, "192.0.2.7 192.0.2.8"},
      {"both.t", F::kV6Only, "2001:db8::7 2001:db8::8"},
      {"both.t", F::kV4Preferred, "192.0.2.7 192.0.2.8"},
      {"both.t", F::kAll, "2001:db8::7 192.0.2.7 2001:db8::8 192.0.2.8"},
      {"v4.t", F::kAuto, "192.0.2.9"},
      {"v4.t", F::kV6Only, ""},
      {"v4.t", F::kAll, "192.0.2.9"},
      {"v6.t", F::kV4Preferred, "2001:db8::9"},
      {"v6.t", F::kV4Only, ""},
      {"broken6.t", F::kAuto, "192.0.2.10"},
      {"broken6.t", F::kAll, "192.0.2.10"},
      {"silent6.t", F::kAll, "192.0.2.11"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name, static_cast<int>(row.family));
    CHECK(Text(fixture.Ask(row.name, row.family)) == row.addresses);
  }
  const int before = server.questions();
  for (const F family : {F::kAuto, F::kV4Only, F::kV6Only, F::kV4Preferred, F::kAll}) {
    CAPTURE(static_cast<int>(family));
    CHECK(Text(fixture.Ask("127.0.0.1", family)) == "127.0.0.1");
    CHECK(Text(fixture.Ask("::1", family)) == "::1");
    CHECK(fixture.Ask("LOCALHOST.", family).addresses.at(0).address.is_loopback());
    CHECK(fixture.Ask("x.localhost", family).addresses.at(0).address.is_loopback());
  }
  CHECK(server.questions() == before);
}

TEST_CASE("the hosts file is honoured before any server") {
  const DnsResponder server(Zone);
  Fixture fixture(server);
  std::ifstream hosts("/etc/hosts");
  std::string line, literal, name;
  while (std::getline(hosts, line)) {
    std::istringstream words(line.substr(0, line.find('#')));
    if (words >> literal >> name && name.find("localhost") == std::string::npos &&
        literal.find(':') == std::string::npos)
      break;
    name.clear();
  }
  if (name.empty()) {
    WARN("no name but localhost in /etc/hosts");
    return;
  }
  const std::string text = Text(fixture.Ask(name));
  CAPTURE(name, text);
  CHECK(text.find(literal) != std::string::npos);
  CHECK(server.questions() == 0);
}

TEST_CASE("TCP by configuration") {
  const DnsResponder server(Zone);
  CaresOptions options;
  options.use_tcp = true;
  Fixture fixture(server, options);
  CHECK(Text(fixture.Ask("tcp.t")) == "192.0.2.6");
}

TEST_CASE("the caller's time ends first; the channel goes on for the others") {
  const DnsResponder server(Zone);
  Fixture fixture(server);
  const DnsAnswer late =
      fixture.Ask("silent.t", LookupFamily::kAuto, std::chrono::milliseconds(50));
  CHECK(late.outcome == Outcome::kTimedOut);
  CHECK(late.details == "resolve_timeout");
  CHECK(Text(fixture.Ask("ok.t")) == "192.0.2.1 192.0.2.2");
  CHECK(Read(fixture.stats().pending_resolutions) == 0);
}

TEST_CASE("c-ares gives up by itself") {
  const DnsResponder server(Zone);
  CaresOptions options;
  options.query_timeout = std::chrono::seconds(1);
  options.query_tries = 1;
  Fixture fixture(server, options);
  const DnsAnswer answer = fixture.Ask("silent.t", LookupFamily::kV4Only, Duration::zero());
  CHECK(answer.outcome == Outcome::kFailed);
  CHECK(answer.details == "cares_failure:Timeout_while_contacting_DNS_servers");
  CHECK(Read(fixture.stats().timeouts) == 1);
}

TEST_CASE("a shutdown with look-ups in flight ends at once and touches nothing") {
  const DnsResponder server(Zone);
  std::vector<std::future<DnsAnswer>> futures;
  {
    Fixture fixture(server);
    for (int i = 0; i < 20; ++i)
      futures.push_back(fixture.Begin(i % 2 == 0 ? "silent.t" : "servfail.t", LookupFamily::kAll));
    const TimePoint start = Now();
    fixture.Stop();
    CHECK(Now() - start < std::chrono::seconds(3));  // Far below the five seconds of one try.
    CHECK(Read(fixture.stats().pending_resolutions) == 0);
  }
  for (auto& future : futures) {
    const DnsAnswer answer = future.get();
    CHECK((answer.outcome == Outcome::kCancelled || answer.outcome == Outcome::kFailed));
  }
}

TEST_CASE("many look-ups at once, failures among them") {
  const DnsResponder server(Zone);
  Fixture fixture(server);
  std::vector<std::future<DnsAnswer>> good, bad;
  for (int i = 0; i < 200; ++i) {
    good.push_back(fixture.Begin("ok.t"));
    if (i % 20 == 0) bad.push_back(fixture.Begin("servfail.t"));
  }
  for (auto& future : good) CHECK(future.get().addresses.size() == 2);
  for (auto& future : bad) CHECK(future.get().outcome == Outcome::kFailed);
  CHECK(Read(fixture.stats().pending_resolutions) == 0);
}

}  // namespace
}  // namespace sluice
