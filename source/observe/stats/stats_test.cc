// Tests of names, tags, the /stats texts and the Prometheus page.
#include "source/observe/stats/stats.h"

#include <catch2/catch.hpp>

namespace sluice::stats {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("names become Prometheus series") {
  struct Case {
    std::string name;
    std::string series;
    Scope (*scope)(Scope);
    std::string leaf;
  };
  const Case cases[] = {
      {"cluster.dfp.upstream_rq_total",
       "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"dfp\"} 1",
       [](Scope s) { return s.Sub("cluster").Sub("dfp", tag::kClusterName); }, "upstream_rq_total"},
      {"cluster.dfp.upstream_rq_2xx",
       "envoy_cluster_upstream_rq_xx{envoy_cluster_name=\"dfp\",envoy_response_code_class=\"2\"} 1",
       [](Scope s) { return s.Sub("cluster").Sub("dfp", tag::kClusterName); }, "upstream_rq_2xx"},
      {"cluster.dfp.upstream_rq_503",
       "envoy_cluster_upstream_rq{envoy_cluster_name=\"dfp\",envoy_response_code=\"503\"} 1",
       [](Scope s) { return s.Sub("cluster").Sub("dfp", tag::kClusterName); }, "upstream_rq_503"},
      {"cluster.a.b_80.retry.upstream_rq_200",
       "envoy_cluster_retry_upstream_rq{envoy_cluster_name=\"a.b_80\",envoy_response_code=\"200\"} "
       "1",
       [](Scope s) { return s.Sub("cluster").Sub("a.b:80", tag::kClusterName).Sub("retry"); },
       "upstream_rq_200"},
      {"cluster.c.circuit_breakers.default.remaining_cx",
       "envoy_cluster_circuit_breakers_default_remaining_cx{envoy_cluster_name=\"c\"} 1",
       [](Scope s) {
         return s.Sub("cluster").Sub("c", tag::kClusterName).Sub("circuit_breakers.default");
       },
       "remaining_cx"},
      {"http.ingress_http.downstream_rq_5xx",
       "envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix=\"ingress_http\","
       "envoy_response_code_class=\"5\"} 1",
       [](Scope s) { return s.Sub("http").Sub("ingress_http", tag::kHttpConnManagerPrefix); },
       "downstream_rq_5xx"},
      {"listener.0.0.0.0_10000.downstream_cx_total",
       "envoy_listener_downstream_cx_total{envoy_listener_address=\"0.0.0.0_10000\"} 1",
       [](Scope s) { return s.Sub("listener").Sub("0.0.0.0:10000", tag::kListenerAddress); },
       "downstream_cx_total"},
      {"listener.[__1]_80.worker_0.downstream_cx_active",
       "envoy_listener_worker_downstream_cx_active{envoy_listener_address=\"[__1]_80\","
       "envoy_worker_id=\"0\"} 1",
       [](Scope s) {
         return s.Sub("listener").Sub("[::1]:80", tag::kListenerAddress).Sub("worker_0");
       },
       "downstream_cx_active"},
      {"tcp.t.downstream_cx_total", "envoy_tcp_downstream_cx_total{envoy_tcp_prefix=\"t\"} 1",
       [](Scope s) { return s.Sub("tcp").Sub("t", tag::kTcpPrefix); }, "downstream_cx_total"},
      {"dns_cache.egress_cache.num_hosts", "envoy_dns_cache_egress_cache_num_hosts 1",
       [](Scope s) { return s.Sub("dns_cache").Sub("egress_cache"); }, "num_hosts"},
      {"egress_rl.http_local_rate_limit.ok",
       "envoy_http_local_rate_limit_ok{envoy_local_http_ratelimit_prefix=\"egress_rl\"} 1",
       [](Scope s) {
         return s.Sub("egress_rl", tag::kLocalHttpRateLimitPrefix).Sub("http_local_rate_limit");
       },
       "ok"},
      {"server.live", "envoy_server_live 1", [](Scope s) { return s.Sub("server"); }, "live"},
      {"cluster.c.my-filter.x y", "envoy_cluster_my_filter_x_y{envoy_cluster_name=\"c\"} 1",
       [](Scope s) { return s.Sub("cluster").Sub("c", tag::kClusterName).Sub("my-filter"); },
       "x y"},
      {"top", "envoy_top 1", [](Scope s) { return s; }, "top"},
      {"x.rq_99x", "envoy_x_rq_99x 1", [](Scope s) { return s.Sub("x"); }, "rq_99x"},
  };
  for (const Case& c : cases) {
    INFO(c.name);
    Store store;
    c.scope(store.Root()).counter(c.leaf).Add();
    CHECK(*store.StatsText({}) == c.name + ": 1\n");
    const std::string page = *store.StatsPrometheus({});
    CHECK_THAT(page, Contains("\n" + c.series + "\n"));
    CHECK(page.substr(0, 13) == "# HELP envoy_");
    CHECK(store.Value(c.name) == 1);
  }
}

TEST_CASE("one name is one metric, per type") {
  Store store;
  const Scope scope = store.Root().Sub("a");
  scope.counter("x").Add();
  store.Root().Sub("a").counter("x").Add();
  store.Root().counter("a.x").Add();
  CHECK(store.Value("a.x") == 3);
  scope.gauge("x").Add(5);
  CHECK(*store.StatsText({}) == "a.x: 3\na.x: 5\n");
  CHECK(*store.StatsPrometheus({}) ==
        "# HELP envoy_a_x Statistic a.x\n# TYPE envoy_a_x counter\nenvoy_a_x 3\n"
        "# HELP envoy_a_x_gauge Statistic a.x\n# TYPE envoy_a_x_gauge gauge\nenvoy_a_x_gauge 5\n");
  scope.counter("b-c").Add();
  scope.counter("b_c").Add(7);
  CHECK_THAT(*store.StatsPrometheus({}), Contains("# TYPE envoy_a_b_c counter\nenvoy_a_b_c 1\n#"));
}

TEST_CASE("the text page: order, used only, filter, type") {
  Store store;
  const Scope root = store.Root();
  root.Sub("z").counter("c").Add(4);
  root.Sub("a").gauge("g").Add(-2);
  root.Sub("a").gauge("unused");
  root.Sub("m").counter("unused");
  root.Sub("h").histogram("empty");
  root.text_readout("t", "hello");
  struct Case {
    StatsQuery query;
    std::string text;
  };
  const Case cases[] = {
      {{},
       "t: \"hello\"\na.g: -2\na.unused: 0\nm.unused: 0\nz.c: 4\nh.empty: No recorded values\n"},
      {{.used_only = true}, "t: \"hello\"\na.g: -2\nz.c: 4\n"},
      {{.filter = "^a\\."}, "a.g: -2\na.unused: 0\n"},
      {{.filter = "unused$"}, "a.unused: 0\nm.unused: 0\n"},
      {{.type = "Counters"}, "m.unused: 0\nz.c: 4\n"},
      {{.type = "Gauges"}, "a.g: -2\na.unused: 0\n"},
      {{.type = "Histograms"}, "h.empty: No recorded values\n"},
      {{.type = "TextReadouts"}, "t: \"hello\"\n"},
  };
  for (const Case& c : cases) {
    CHECK(*store.StatsText(c.query) == c.text);
  }
  CHECK(
      *store.StatsJson({.used_only = true}) ==
      R"({"stats":[{"name":"t","value":"hello"},{"name":"a.g","value":-2},{"name":"z.c","value":4}]})");
  CHECK(*store.StatsJson({.filter = "nothing"}) == R"({"stats":[]})");
  CHECK_THAT(*store.StatsPrometheus({.text_readouts = true}),
             Contains("envoy_t{text_value=\"hello\"} 0\n"));
  CHECK_THAT(*store.StatsPrometheus({}), !Contains("envoy_t"));
}

TEST_CASE("bad queries are told in Envoy's words") {
  Store store;
  CHECK(store.StatsText({.filter = "("}).status().message() == "Invalid re2 regex: missing ): (");
  CHECK(store.StatsJson({.filter = "("}).status().message() == "Invalid re2 regex: missing ): (");
  CHECK(store.StatsPrometheus({.filter = "("}).status().message() ==
        "Invalid re2 regex: missing ): (");
  CHECK(store.StatsText({.type = "x"}).status().message() == "invalid &type= param");
  CHECK_FALSE(store.StatsText({.histogram_buckets = "round"}).ok());
}

TEST_CASE("histograms on the pages") {
  Store store;
  const Histogram histogram =
      store.Root().Sub("cluster").Sub("c", tag::kClusterName).histogram("upstream_rq_time");
  histogram.Record(1);
  CHECK(*store.StatsText({}) ==
        "cluster.c.upstream_rq_time: P0(nan,1) P25(nan,1) P50(nan,1) P75(nan,1) P90(nan,1) "
        "P95(nan,1) P99(nan,1) "
        "P99.5(nan,1) P99.9(nan,1) P100(nan,1)\n");
  store.Flush();
  histogram.Record(3);
  CHECK_THAT(*store.StatsText({}), Contains(" P0(1,1) ") && Contains(" P100(1,3)"));
  store.Flush();
  CHECK_THAT(*store.StatsText({}), Contains(" P0(3,1) ") && Contains(" P100(3,3)"));
  store.Flush();
  CHECK_THAT(*store.StatsText({}), Contains(" P0(nan,1) "));
  histogram.Record(7200000);
  CHECK_THAT(*store.StatsText({.histogram_buckets = "cumulative"}),
             Contains("cluster.c.upstream_rq_time: B0.5(0,0) B1(0,1) B5(0,2) B10(0,2)") &&
                 Contains(" B3.6e+06(0,2)\n"));
  CHECK_THAT(*store.StatsText({.histogram_buckets = "disjoint"}),
             Contains(" B1(0,1) B5(0,1) B10(0,0)"));
  CHECK_THAT(
      *store.StatsJson({}),
      Contains(
          R"({"stats":[{"histograms":{"supported_quantiles":[0,25,50,75,90,95,99,99.5,99.9,100],)"
          R"("computed_quantiles":[{"name":"cluster.c.upstream_rq_time","values":[)"
          R"({"interval":null,"cumulative":1},)"));
  CHECK_THAT(*store.StatsJson({.histogram_buckets = "cumulative"}),
             Contains(R"("buckets":[{"upper_bound":0.5,"interval":0,"cumulative":0},)"));
  CHECK_THAT(*store.StatsText({.histogram_buckets = "detailed"}),
             Contains("cluster.c.upstream_rq_time:\n  totals=") && Contains("\n  summary=P0("));
  CHECK_THAT(*store.StatsJson({.histogram_buckets = "detailed"}),
             Contains(R"({"supported_percentiles":[0,25)") && Contains(R"("lower_bound":)"));
  CHECK_THAT(
      *store.StatsPrometheus({.histogram_buckets = "summary"}),
      Contains("# TYPE envoy_cluster_upstream_rq_time summary\n") &&
          Contains("envoy_cluster_upstream_rq_time{envoy_cluster_name=\"c\",quantile=\"0.999\"}") &&
          Contains("envoy_cluster_upstream_rq_time{envoy_cluster_name=\"c\",quantile=\"1\"}"));
  CHECK_FALSE(store.StatsPrometheus({.histogram_buckets = "disjoint"}).ok());
  CHECK(*store.StatsText({.filter = "rq_time", .invert_filter = true}) == "");
  const std::string page = *store.StatsPrometheus({});
  CHECK_THAT(page, Contains("# TYPE envoy_cluster_upstream_rq_time histogram\n"));
  CHECK_THAT(
      page,
      Contains("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"c\",le=\"0.5\"} 0\n"));
  CHECK_THAT(
      page,
      Contains("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"c\",le=\"1\"} 1\n"));
  CHECK_THAT(
      page,
      Contains(
          "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"c\",le=\"3600000\"} 2\n"));
  CHECK_THAT(
      page,
      Contains("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"c\",le=\"+Inf\"} 3\n"));
  CHECK_THAT(page,
             Contains("envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"c\"} 7200004\n"));
  CHECK_THAT(page, Contains("envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"c\"} 3\n"));
}

TEST_CASE("names as the conventions of Prometheus have them") {
  struct Row {
    Type type;
    std::string name, lines;  // what must stand on the page
  };
  for (const Row& row : {
           Row{Type::kCounter, "x.cx", "# TYPE envoy_x_cx_total counter\nenvoy_x_cx_total 1500\n"},
           Row{Type::kCounter, "x.cx_total", "envoy_x_cx_total 1500\n"},
           Row{Type::kCounter, "x.wait_ms", "envoy_x_wait_seconds_total 1.5\n"},
           Row{Type::kCounter, "x.y_rq_503",
               "envoy_x_y_rq_by_code_total{envoy_response_code=\"503\"} "},
           Row{Type::kCounter, "x.myCache.s.kilobytes.y",
               "envoy_x_my_cache_s0_kilobytes0_y_total "},
           Row{Type::kGauge, "x.members_total",
               "# TYPE envoy_x_members gauge\nenvoy_x_members 1500"},
           Row{Type::kGauge, "x.hosts_count", "envoy_x_hosts_count_value 1500\n"},
           Row{Type::kGauge, "server.days_until_first_cert_expiring",
               "envoy_server_seconds_until_first_cert_expiring 129600000\n"},
           Row{Type::kHistogram, "x.length_ms", "envoy_x_length_seconds_sum 1.5\n"},
           Row{Type::kHistogram, "x.length_ms", "envoy_x_length_seconds_bucket{le=\"0.0005\"} 0\n"},
           Row{Type::kHistogram, "x.rq_time", "envoy_x_rq_time_seconds_bucket{le=\"2.5\"} 1\n"},
           Row{Type::kHistogram, "x.per_cx", "envoy_x_per_cx_sum 1500\n"},
       }) {
    INFO(row.name);
    Store store;
    if (row.type == Type::kCounter) store.Root().counter(row.name).Add(1500);
    if (row.type == Type::kGauge) store.Root().gauge(row.name).Add(1500);
    if (row.type == Type::kHistogram) store.Root().histogram(row.name).Record(1500);
    CHECK_THAT(*store.StatsPrometheus({.names = "prometheus"}), Contains(row.lines));
    CHECK(*store.StatsPrometheus({.names = "envoy"}) == *store.StatsPrometheus({}));
    CHECK_FALSE(store.StatsPrometheus({.names = "other"}).ok());
  }
}

TEST_CASE("different metrics keep different names") {
  Store store;
  store.Root().counter("a.x").Add(1);
  store.Root().counter("a.x_total").Add(2);
  store.Root().gauge("a.x_ms").Add(3000);
  store.Root().histogram("a.x_ms").Record(4);
  const std::string page = *store.StatsPrometheus({.names = "prometheus"});
  for (const char* line : {"envoy_a_x_total 1\n", "envoy_a_x_2_total 2\n", "envoy_a_x_seconds 3\n",
                           "envoy_a_x_2_seconds_count 1\n"})
    CHECK_THAT(page, Contains(line));
}

TEST_CASE("removing a prefix removes that and nothing else") {
  Store store;
  const Scope clusters = store.Root().Sub("cluster");
  clusters.Sub("a").counter("x").Add();
  clusters.Sub("a").histogram("h").Record(1);
  clusters.Sub("a-b").counter("x").Add();
  clusters.Sub("ab").counter("x").Add();
  clusters.counter("a").Add();
  store.Remove("cluster.a");
  CHECK(*store.StatsText({}) == "cluster.a-b.x: 1\ncluster.ab.x: 1\n");
  clusters.Sub("a").counter("x");
  CHECK(store.Value("cluster.a.x") == 0);
}

TEST_CASE("reset sets counters to zero and leaves gauges") {
  Store store;
  store.Root().counter("c").Add(3);
  store.Root().gauge("g").Add(3);
  store.Root().counter("unused");
  store.ResetCounters();
  store.ResetCounters();
  CHECK(*store.StatsText({}) == "c: 0\ng: 3\nunused: 0\n");
  CHECK(*store.StatsText({.used_only = true}) == "c: 0\ng: 3\n");
}

}  // namespace
}  // namespace sluice::stats
