// Subsets of endpoints: which one a request gets, and what happens where there is none.
#include "source/upstream/subset_table.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <catch2/catch.hpp>

namespace sluice {
namespace {

using Proto = SubsetSettings::Proto;

google::protobuf::Struct Json(const std::string& text) {
  google::protobuf::Struct result;
  REQUIRE(google::protobuf::util::JsonStringToMessage(text, &result).ok());
  return result;
}

Proto Parse(const std::string& text) {
  Proto config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
  return config;
}

EndpointPtr Host(int port, const std::string& metadata) {
  Endpoint::Settings settings;
  settings.addresses = {*Address::Ip("192.0.2.1", static_cast<uint16_t>(port))};
  settings.metadata = std::make_shared<google::protobuf::Struct>(Json(metadata));
  return std::make_shared<Endpoint>(std::move(settings), std::make_shared<HostStats>(), 1);
}

struct Fixture {
  explicit Fixture(const std::string& config)
      : settings(*SubsetSettings::Build(Parse(config))),
        table(hosts, settings, EndpointSetOptions(), *balancer) {}

  // The ports of those that serve a request: "any", "none" or their numbers.
  std::string Ports(const std::string& wanted) {
    const MetadataCriteria criteria = MetadataCriteria(CanonicalFields()).With(Json(wanted));
    const SubsetTable::Found found = table.Find(&criteria);
    std::string text = found.is_fallback ? "fallback " : "";
    if (found.set == nullptr) return text + (found.any ? "any" : "none");
    Rng rng(1);
    PickState state = found.set->NewState(0, rng);
    const auto choice = found.set->Choose(state, rng);
    std::set<int> ports;
    for (const EndpointPtr& endpoint : choice.list->endpoints)
      ports.insert(endpoint->address().port());
    for (int port : ports) text += Cat(port, " ");
    return text;
  }

  const std::unique_ptr<const Balancer> balancer = RoundRobin();
  const EndpointList hosts = {Host(1, R"({"stage":"prod","v":1})"),
                              Host(2, R"({"stage":"prod","v":2})"),
                              Host(3, R"({"stage":"dev","v":1})"), Host(4, R"({"v":["1",1,1]})")};
  const SubsetSettings settings;
  const SubsetTable table;
};

TEST_CASE("a request gets the endpoints that have just its values") {
  Fixture f("subset_selectors { keys: 'stage' } subset_selectors { keys: ['v', 'stage'] }");
  CHECK(f.Ports(R"({"stage":"prod"})") == "1 2 ");
  CHECK(f.Ports(R"({"stage":"prod","v":2})") == "2 ");
  CHECK(f.Ports(R"({"stage":"prod","v":"2"})") == "fallback none");
  CHECK(f.Ports(R"({"v":1})") == "fallback none");  // no selector has these keys
  CHECK(f.Ports(R"({"stage":"prod","v":2,"x":1})") == "fallback none");
  CHECK(f.Ports("{}") == "fallback none");
  CHECK(f.table.Find(nullptr).is_fallback);
}

TEST_CASE("fallbacks") {
  Fixture any("fallback_policy: ANY_ENDPOINT subset_selectors { keys: 'stage' }");
  CHECK(any.Ports(R"({"stage":"test"})") == "fallback any");
  Fixture f(
      "fallback_policy: DEFAULT_SUBSET default_subset { fields { key: 'stage' value { "
      "string_value: 'dev' } } } "
      "subset_selectors { keys: 'stage' fallback_policy: NO_FALLBACK } "
      "subset_selectors { keys: ['v', 'stage'] fallback_policy: KEYS_SUBSET "
      "fallback_keys_subset: 'stage' }");
  CHECK(f.Ports("{}") == "fallback 3 ");
  CHECK(f.Ports(R"({"stage":"test"})") == "none");
  CHECK(f.Ports(R"({"stage":"prod","v":7})") == "1 2 ");
  CHECK(f.Ports(R"({"stage":"test","v":7})") == "none");
}

TEST_CASE("a host with a list is in the subset of each element") {
  Fixture f("list_as_any: true subset_selectors { keys: 'v' }");
  CHECK(f.Ports(R"({"v":1})") == "1 3 4 ");
  CHECK(f.Ports(R"({"v":"1"})") == "4 ");
  Fixture g("subset_selectors { keys: 'v' }");
  CHECK(g.Ports(R"({"v":1})") == "1 3 ");
  CHECK(g.Ports(R"({"v":["1",1,1]})") == "4 ");
}

TEST_CASE("what makes no sense is refused") {
  const auto error = [](const std::string& config) {
    return std::string(Std(SubsetSettings::Build(Parse(config)).status().message()));
  };
  CHECK(error("subset_selectors { keys: 'a' } subset_selectors { keys: 'a' }") ==
        "subset_selectors[1] has the keys of an earlier one");
  for (const char* fallback : {"fallback_policy: KEYS_SUBSET", "fallback_keys_subset: 'a'",
                               "fallback_policy: KEYS_SUBSET fallback_keys_subset: ['a', 'b']",
                               "fallback_policy: KEYS_SUBSET fallback_keys_subset: 'c'"}) {
    CHECK(error(Cat("subset_selectors { keys: ['a', 'b'] ", fallback, " }"))
              .starts_with("subset_selectors[0]: fallback_keys_subset"));
  }
}

TEST_CASE("subsets are counted as they come and go") {
  stats::Store store;
  const ClusterStats stats(store.Root());
  Fixture f("subset_selectors { keys: 'stage' }");
  f.table.CountChanges(nullptr, stats);
  CHECK(store.Value("lb_subsets_active") == 2);
  const SubsetTable less({f.hosts[2]}, f.settings, EndpointSetOptions(), *f.balancer);
  less.CountChanges(&f.table, stats);
  CHECK(store.Value("lb_subsets_active") == 1);
  CHECK(store.Value("lb_subsets_created") == 2);
  CHECK(store.Value("lb_subsets_removed") == 1);
}

}  // namespace
}  // namespace sluice
