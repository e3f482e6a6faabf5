// Names, tags and buckets as stats_config wants them.
#include "source/observe/stats/stats_config.h"

#include <catch2/catch.hpp>

#include "source/base/strings.h"
#include "source/config/loader.h"
#include "source/observe/stats/stats.h"

namespace sluice::stats {
namespace {

using Catch::Matchers::Contains;

StoreSettings Settings(std::string_view yaml) {
  envoy::config::metrics::v3::StatsConfig config;
  config::Diagnostics diagnostics;
  REQUIRE(config::ReadYaml(yaml, diagnostics, &config));
  StoreSettings settings = BuildStoreSettings(config, "stats_config", diagnostics);
  INFO(diagnostics.ToString());
  REQUIRE(diagnostics.ok());
  return settings;
}

Scope ClusterScope(Store& store) {
  return store.Root().Sub("cluster").Sub("shop.eu", tag::kClusterName);
}

TEST_CASE("tags") {
  struct {
    std::string_view yaml, name, series;
  } const cases[] = {
      {"{}", "upstream_rq_503",
       "envoy_cluster_upstream_rq{envoy_cluster_name=\"shop.eu\",envoy_response_code=\"503\"} 1"},
      {"use_all_default_tags: false", "upstream_rq_503", "envoy_cluster_shop_eu_upstream_rq_503 1"},
      {"{use_all_default_tags: false, stats_tags: [{tag_name: envoy.response_code}]}",
       "upstream_rq_503", "envoy_cluster_shop_eu_upstream_rq{envoy_response_code=\"503\"} 1"},
      {"stats_tags: [{tag_name: zone, fixed_value: a}]", "x",
       "envoy_cluster_x{envoy_cluster_name=\"shop.eu\",zone=\"a\"} 1"},
      // The first group goes, the second is the value.
      {"stats_tags: [{tag_name: kind, regex: '\\.((\\w+)_kind)\\.'}]", "a_kind.b",
       "envoy_cluster__b{envoy_cluster_name=\"shop.eu\",kind=\"a\"} 1"},
      // One group is both; it stands within what is a built-in tag, too.
      {"stats_tags: [{tag_name: region, regex: '^cluster\\.\\w+\\.(\\w+)\\.'}]", "eux",
       "envoy_cluster_eux{envoy_cluster_name=\"shop.eu\",region=\"eu\"} 1"},
      // What a built-in tag takes, too, with the other one of its dots.
      {"stats_tags: [{tag_name: service, regex: '^cluster\\.((.+?)\\.)'}]", "x",
       "envoy_cluster_x{envoy_cluster_name=\"shop.eu\",service=\"shop\"} 1"},
      {"stats_tags: [{tag_name: service, regex: '^cluster\\.((.+?\\.eu)\\.)'}]", "x_rq_503",
       "envoy_cluster_x_rq{envoy_cluster_name=\"shop.eu\",envoy_response_code=\"503\",service="
       "\"shop."
       "eu\"} 1"},
      // Between two built-in tags.
      {"stats_tags: [{tag_name: kind, regex: '\\.((\\w+)_kind\\.)'}]", "a_kind.b_rq_503",
       "envoy_cluster_b_rq{envoy_cluster_name=\"shop.eu\",envoy_response_code=\"503\",kind=\"a\"} "
       "1"},
      {"stats_tags: [{tag_name: no, regex: '(nothing)'}]", "x",
       "envoy_cluster_x{envoy_cluster_name=\"shop.eu\"} 1"},
  };
  for (const auto& c : cases) {
    INFO(c.yaml);
    Store store(Settings(c.yaml));
    ClusterScope(store).counter(c.name).Add();
    CHECK_THAT(*store.StatsPrometheus({}), Contains(std::string(c.series) + "\n"));
    CHECK_THAT(*store.StatsText({}), Contains(Cat("cluster.shop.eu.", c.name, ": 1\n")));
  }
}

TEST_CASE("a matcher decides which metrics there are") {
  struct {
    std::string_view yaml;
    bool keeps_a, keeps_b;
  } const cases[] = {
      {"{}", true, true},
      {"stats_matcher: { reject_all: true }", false, false},
      {"stats_matcher: { exclusion_list: { patterns: [{ suffix: .a }] } }", false, true},
      {"stats_matcher: { inclusion_list: { patterns: [{ exact: cluster.shop.eu.a }] } }", true,
       false},
      {"stats_matcher: { inclusion_list: { patterns: [{ safe_regex: { regex: '.*\\.b' } }] } }",
       false, true},
  };
  for (const auto& c : cases) {
    INFO(c.yaml);
    Store store(Settings(c.yaml));
    const Scope scope = ClusterScope(store);
    scope.counter("a").Add(3);
    scope.gauge("b").Set(4);
    scope.histogram("c").Record(1);
    scope.text_readout("d", "text");
    CHECK(store.Value("cluster.shop.eu.a") == (c.keeps_a ? 3 : 0));
    CHECK(store.Value("cluster.shop.eu.b") == (c.keeps_b ? 4 : 0));
    const std::string text = *store.StatsText({});
    CHECK((text.find("shop.eu.a:") != text.npos) == c.keeps_a);
    CHECK((text.find("shop.eu.b:") != text.npos) == c.keeps_b);
  }
}

TEST_CASE("buckets of histograms") {
  Store store(Settings(R"(
histogram_bucket_settings:
- { match: { suffix: size }, buckets: [100, 10] }
- { match: { prefix: cluster }, buckets: [1] })"));
  ClusterScope(store).histogram("size").Record(50);
  ClusterScope(store).histogram("time").Record(50);
  store.Root().histogram("other").Record(50);
  const std::string text = *store.StatsText({.histogram_buckets = "cumulative"});
  CHECK_THAT(text, Contains("cluster.shop.eu.size: B10(0,0) B100(0,1)\n"));
  CHECK_THAT(text, Contains("cluster.shop.eu.time: B1(0,0)\n"));
  CHECK_THAT(text, Contains("other: B0.5(0,0)"));
  const std::string series = *store.StatsPrometheus({});
  CHECK_THAT(series,
             Contains("envoy_cluster_size_bucket{envoy_cluster_name=\"shop.eu\",le=\"100\"} 1"));
  CHECK_THAT(series, !Contains("size_bucket{envoy_cluster_name=\"shop.eu\",le=\"0.5\"}"));
}

TEST_CASE("what is wrong is said at its place") {
  struct {
    std::string_view yaml, problem;
  } const cases[] = {
      {"stats_tags: [{tag_name: mine}]",
       "stats_config.stats_tags[0]: needs regex or fixed_value: there is no built-in tag of that "
       "name"},
      {"stats_tags: [{tag_name: envoy.cluster_name, fixed_value: x}]",
       "stats_config.stats_tags[0].tag_name: the tag 'envoy.cluster_name' exists already: set "
       "use_all_default_tags to false"},
      {"stats_tags: [{tag_name: a, regex: '(('}]",
       "stats_config.stats_tags[0].regex: missing ): (("},
      {"stats_tags: [{tag_name: a, regex: 'a'}]",
       "stats_config.stats_tags[0].regex: needs one group or two, and has 0"},
      {"stats_tags: [{tag_name: a, fixed_value: x}, {tag_name: a, fixed_value: y}]",
       "stats_config.stats_tags[1].tag_name: the tag 'a' exists already"},
  };
  for (const auto& c : cases) {
    INFO(c.yaml);
    envoy::config::metrics::v3::StatsConfig config;
    config::Diagnostics diagnostics;
    REQUIRE(config::ReadYaml(c.yaml, diagnostics, &config));
    BuildStoreSettings(config, "stats_config", diagnostics);
    REQUIRE(diagnostics.problems().size() == 1);
    CHECK(Cat(diagnostics.problems()[0].path, ": ", diagnostics.problems()[0].message) ==
          c.problem);
  }
}

}  // namespace
}  // namespace sluice::stats
