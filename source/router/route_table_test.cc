// Route tables from configuration to the selected route, and every mistake that a route
// configuration can hold.
#include "source/router/route_table.h"

#include <google/protobuf/text_format.h>
#include <catch2/catch.hpp>

#include "source/http/testing/exchange.h"
#include "source/router/upgrade.h"

namespace sluice {
namespace {

namespace v3 = envoy::config::route::v3;

struct Loaded {
  config::Diagnostics diagnostics;
  std::shared_ptr<const RouteTable> table;
};

// A chain of filters a, b (disabled) and router; clusters c, d and e. A per-route message is kept
// as a string.
std::unique_ptr<Loaded> Load(const std::string& text, config::Runtime* runtime = nullptr) {
  auto loaded = std::make_unique<Loaded>();
  v3::RouteConfiguration config;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &config));
  const RouteBuildContext context{
      .diagnostics = loaded->diagnostics,
      .path = "r",
      .chain = {{"a", false}, {"b", true}, {"router", false}},
      .make_filter_config = [](size_t index, const google::protobuf::Any& any,
                               std::string_view) -> absl::StatusOr<std::shared_ptr<const void>> {
        if (any.value() == "bad") return Invalid("bad filter configuration");
        return std::make_shared<std::string>(Cat(index, any.value()));
      },
      .cluster_exists =
          [](std::string_view name) { return name == "c" || name == "d" || name == "e"; },
      .runtime = runtime,
  };
  loaded->table = RouteTable::Build(config, context);
  CHECK((loaded->table != nullptr) == loaded->diagnostics.ok());
  return loaded;
}

std::unique_ptr<Loaded> LoadGood(const std::string& text, config::Runtime* runtime = nullptr) {
  auto loaded = Load(text, runtime);
  INFO(loaded->diagnostics.ToString());
  REQUIRE(loaded->table != nullptr);
  return loaded;
}

std::string Host(const std::string& routes) {
  return Cat("virtual_hosts { name: 'v' domains: '*' ", routes, " }");
}

// The name of the route for a request, or "none".
std::string Select(const RouteTable& table, const char* method, const char* authority,
                   const char* path) {
  RequestHead head;
  head.method = method;
  head.authority = authority;
  head.path = path;
  head.headers.AddCopy("x-there", "1");
  testing::TestExchange exchange;
  const Route* route = table.Select(head, exchange);
  return route == nullptr ? "none" : route->name;
}

TEST_CASE("the first route whose matcher agrees wins", "[routes]") {
  struct Row {
    const char* match;
    const char* path;
    bool matches;
  };
  const Row rows[] = {
      {"prefix: '/'", "/any?q", true},
      {"prefix: '/a'", "/ab", true},
      {"prefix: '/a'", "/A", false},
      {"prefix: '/a' case_sensitive { value: false }", "/Ab", true},
      {"prefix: '/a?'", "/a?b", false},
      {"prefix: '/long'", "/lo", false},
      {"path: '/a'", "/a?q", true},
      {"path: '/a'", "/a/", false},
      {"path: '/a' case_sensitive { value: false }", "/A", true},
      {"path_separated_prefix: '/a'", "/a", true},
      {"path_separated_prefix: '/a'", "/a/b", true},
      {"path_separated_prefix: '/a'", "/a?q", true},
      {"path_separated_prefix: '/a'", "/ab", false},
      {"path_separated_prefix: '/a' case_sensitive { value: false }", "/A/b", true},
      {"safe_regex { regex: '/a[0-9]+' }", "/a12?q", true},
      {"safe_regex { regex: '/a[0-9]+' }", "/a12b", false},
      {"connect_matcher {}", "/", false},
      {"prefix: '/' headers { name: 'x-there' present_match: true }", "/", true},
      {"prefix: '/' headers { name: 'x-gone' present_match: true }", "/", false},
      {"prefix: '/' cookies { name: 'c' string_match { exact: '1' } invert_match: true }", "/",
       true},
      {"prefix: '/' cookies { name: 'c' string_match { exact: '1' } }", "/", false},
      {"prefix: '/' grpc {}", "/", false},
      {"prefix: '/' runtime_fraction { default_value { numerator: 0 } }", "/", false},
      {"prefix: '/' runtime_fraction { default_value { numerator: 100 } }", "/", true},
      {"prefix: '/' headers { name: 'x-there' } headers { name: 'x-gone' }", "/", false},
      {"prefix: '/' query_parameters { name: 'q' string_match { exact: '1' } }", "/?q=1", true},
      {"prefix: '/' query_parameters { name: 'q' string_match { exact: '1' } }", "/?q=2", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.match, row.path);
    const auto loaded = LoadGood(
        Host(Cat("routes { name: 'first' match { ", row.match, " } route { cluster: 'c' } }",
                 "routes { name: 'rest' match { prefix: '' } route { cluster: 'c' } }")));
    CHECK(Select(*loaded->table, "GET", "h", row.path) == (row.matches ? "first" : "rest"));
    // Whatever the path matcher, a CONNECT is for connect_matcher alone.
    const bool connect = std::string_view(row.match).starts_with("connect");
    CHECK(Select(*loaded->table, "CONNECT", "h:443", "") == (connect ? "first" : "none"));
  }
}

TEST_CASE("a CONNECT matches its target with the port", "[routes]") {
  const std::string routes =
      "routes { name: 'r' match { connect_matcher {} } route { cluster: 'c' } }";
  const auto plain =
      LoadGood(Cat("virtual_hosts { name: 'v' domains: 'h' domains: '*.t:*' ", routes, " }"));
  CHECK(Select(*plain->table, "CONNECT", "h:443", "") == "none");
  CHECK(Select(*plain->table, "CONNECT", "a.t:443", "") == "r");
  const auto ignoring = LoadGood(Cat(
      "ignore_port_in_host_matching: true virtual_hosts { name: 'v' domains: 'h' ", routes, " }"));
  CHECK(Select(*ignoring->table, "CONNECT", "h:443", "") == "r");
}

TEST_CASE("all shares of a request are held against one number", "[routes]") {
  const std::string half =
      "match { prefix: '/' runtime_fraction { default_value { numerator: 50 } } } route { cluster: "
      "'c' } }";
  const auto loaded =
      LoadGood(Host(Cat("routes { name: 'first' ", half, "routes { name: 'second' ", half,
                        "routes { name: 'rest' match { prefix: '/' } route { cluster: 'c' } }")));
  testing::TestExchange exchange;
  RequestHead head;
  head.method = "GET";
  head.authority = "h";
  head.path = "/";
  int first = 0, second = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string& name = loaded->table->Select(head, exchange)->name;
    first += name == "first";
    second += name == "second";
  }
  CHECK(first > 800);
  CHECK(first < 1200);
  CHECK(second == 0);
}

TEST_CASE("the runtime may move weights", "[routes]") {
  config::Runtime runtime;
  const auto loaded = LoadGood(
      Host("routes { match { prefix: '/' } route { weighted_clusters { runtime_key_prefix: 'w' "
           "clusters { name: 'c' weight { value: 1 } } clusters { name: 'd' weight { value: 0 } } "
           "} } }"),
      &runtime);
  testing::TestExchange exchange;
  RequestHead head;
  head.method = "GET";
  head.authority = "h";
  head.path = "/";
  CHECK(loaded->table->Select(head, exchange)->cluster_name == "c");
  config::RuntimeLayer layer{"test", {}};
  layer.values["w.c"] = {.text = "0", .number = 0, .integer = 0, .flag = {}, .fraction = {}};
  layer.values["w.d"] = {.text = "5", .number = 5, .integer = 5, .flag = {}, .fraction = {}};
  runtime.Publish({layer});
  CHECK(loaded->table->Select(head, exchange)->cluster_name == "d");
}

TEST_CASE("no route of the chosen virtual host is no route", "[routes]") {
  const auto loaded = LoadGood(
      "virtual_hosts { name: 'v' domains: 'h' routes { name: 'h' match { path: '/a' } route { "
      "cluster: 'c' } } }"
      "virtual_hosts { name: 'w' domains: '*' routes { name: '*' match { prefix: '/' } route { "
      "cluster: 'c' } } }");
  CHECK(Select(*loaded->table, "GET", "h", "/a") == "h");
  CHECK(Select(*loaded->table, "GET", "h", "/b") == "none");
  CHECK(Select(*loaded->table, "GET", "i", "/b") == "*");
  CHECK(loaded->table->VirtualHosts() == std::vector<std::string>{"v", "w"});
}

const Route& Only(const Loaded& loaded) {
  RequestHead head;
  head.method = "GET";
  head.authority = "h";
  head.path = "/";
  testing::TestExchange exchange;
  const Route* route = loaded.table->Select(head, exchange);
  REQUIRE(route != nullptr);
  return *route;
}

TEST_CASE("the settings of a route", "[routes]") {
  using std::chrono::seconds;
  const auto defaults = LoadGood(Host("routes { match { prefix: '/' } route { cluster: 'c' } }"));
  const Route& plain = Only(*defaults);
  CHECK(plain.cluster_name == "c");
  CHECK(plain.virtual_host == "v");
  CHECK(plain.timeout == seconds(15));
  CHECK(plain.timeout_text == "15000");
  CHECK(plain.cluster_not_found_status == 503);
  CHECK_FALSE(plain.idle_timeout.has_value());
  CHECK(plain.retry == nullptr);
  CHECK(plain.filter_configs.empty());
  CHECK(plain.enabled_filters == 0b101);

  const auto lasting = LoadGood(
      Host("routes { match { prefix: '/' } route { cluster: 'c' max_stream_duration {} } }"));
  CHECK(Only(*lasting).timeout == Duration::zero());
  const auto full =
      LoadGood(Host(R"(include_request_attempt_count: true routes { match { prefix: '/' } route {
    cluster: 'c' timeout { seconds: 2 nanos: 500000000 } idle_timeout { seconds: 0 }
    priority: HIGH cluster_not_found_response_code: NOT_FOUND prefix_rewrite: '/n'
    host_rewrite_header: 'X-To' append_x_forwarded_host: true
    retry_policy { retry_on: '5xx,reset' num_retries { value: 4 } per_try_timeout { seconds: 1 }
                   retriable_status_codes: 418
                   retry_back_off { base_interval { nanos: 10000000 } } }
    upgrade_configs { upgrade_type: 'WebSocket' }
    upgrade_configs { upgrade_type: 'CONNECT' enabled { value: false } connect_config {} } } })"));
  const Route& route = Only(*full);
  CHECK(route.timeout_text == "2500");
  CHECK(route.idle_timeout == Duration::zero());
  CHECK(route.high_priority);
  CHECK(route.cluster_not_found_status == 404);
  CHECK(route.rewrite->prefix == "/n");
  CHECK(route.matched == Route::Matched::kPrefix);
  CHECK(route.matched_prefix == 1);
  CHECK(route.host_header == "x-to");
  CHECK(route.append_x_forwarded_host);
  CHECK(route.request_attempt_count);
  REQUIRE(route.retry != nullptr);
  CHECK(route.retry->on == (RetryPolicy::k5xx | RetryPolicy::kReset));
  CHECK(route.retry->max_retries == 4);
  CHECK(route.retry->per_try_timeout == seconds(1));
  CHECK(route.retry->max_interval == std::chrono::milliseconds(100));
  CHECK(route.upgrades == UpgradeSet{{"websocket", true}, {"connect", false}});
  CHECK(route.terminates_connect);
}

TEST_CASE("direct responses and redirects", "[routes]") {
  const auto direct =
      LoadGood(Host("routes { match { prefix: '/' } direct_response { status: 418 body { "
                    "inline_string: 'tea' } } }"));
  CHECK(Only(*direct).direct->status == 418);
  CHECK(Only(*direct).direct->body == "tea");
  const auto redirect =
      LoadGood(Host("routes { match { prefix: '/' } redirect { https_redirect: true path_redirect: "
                    "'n' response_code: FOUND } }"));
  CHECK(Only(*redirect).redirect->status == 302);
  CHECK(Only(*redirect).redirect->scheme == "https");
  CHECK(Only(*redirect).redirect->path == "/n");
}

TEST_CASE("the cluster may come from a header", "[routes]") {
  const auto loaded =
      LoadGood(Host("routes { match { prefix: '/' } route { cluster_header: 'X-Cluster' } }"));
  RequestHead head;
  CHECK(Only(*loaded).ClusterFor(head) == "");
  head.headers.AddCopy("x-cluster", "c");
  CHECK(Only(*loaded).ClusterFor(head) == "c");
}

TEST_CASE("weighted clusters are drawn by weight", "[routes]") {
  const auto loaded = LoadGood(Host(R"(routes { match { prefix: '/' } route { weighted_clusters {
    clusters { name: 'c' weight { value: 1 } }
    clusters { name: 'd' weight { value: 3 } request_headers_to_remove: 'x' }
    clusters { name: 'e' } } } })"));
  RequestHead head;
  head.method = "GET";
  head.path = "/";
  testing::TestExchange exchange;
  int c = 0, d = 0, e = 0;
  for (int i = 0; i < 4000; ++i) {
    const Route* route = loaded->table->Select(head, exchange);
    ++(route->cluster_name == "c" ? c : route->cluster_name == "d" ? d : e);
    CHECK(route->request_edits.size() == (route->cluster_name == "d" ? 1 : 0));
  }
  CHECK(e == 0);
  CHECK(c > 800);
  CHECK(c < 1200);
  CHECK(c + d == 4000);
}

TEST_CASE("header edits run from the most specific level to the least, or the other way round",
          "[routes]") {
  const auto edit = [](const char* where, const char* value) {
    return Cat(where, "_headers_to_add { header { key: 'x' value: '", value,
               "' } append_action: OVERWRITE_IF_EXISTS_OR_ADD } ", where,
               "_headers_to_add { header { key: 'all' value: '", value, "' } } ");
  };
  for (const bool most_specific_wins : {false, true}) {
    const auto loaded = LoadGood(
        Cat("most_specific_header_mutations_wins: ", most_specific_wins ? "true " : "false ",
            edit("request", "table"), "virtual_hosts { name: 'v' domains: '*' ",
            edit("request", "host"), "routes { match { prefix: '/' } ", edit("request", "route"),
            " route { weighted_clusters { clusters { name: 'c' ", "weight { value: 1 } ",
            edit("request", "cluster"), " } } } } }"));
    const Route& route = Only(*loaded);
    CHECK(route.response_edits.empty());
    testing::TestExchange exchange;
    RequestHead head;
    for (const auto& edits : route.request_edits) edits->Apply(head.headers, exchange);
    CHECK(head.headers.Get("x") == (most_specific_wins ? "route" : "table"));
    CHECK(head.headers.Get("all") == "cluster");
    CHECK(head.headers.size() == 5);
  }
}

std::vector<std::string> Configs(const Route& route, size_t index) {
  std::vector<std::string> out;
  if (index >= route.filter_configs.size()) return out;
  for (const void* config : route.filter_configs[index])
    out.push_back(*static_cast<const std::string*>(config));
  return out;
}

std::string FilterEntry(const char* name, const std::string& any) {
  return Cat("typed_per_filter_config { key: '", name, "' value { ", any, " } } ");
}
std::string Plain(const char* value) {
  return Cat("type_url: 'x/T' value: '", value, "'");
}
std::string Wrapped(const char* text) {
  return Cat("[type.googleapis.com/envoy.config.route.v3.FilterConfig] { ", text, " }");
}

TEST_CASE("per-filter configuration of every level", "[routes]") {
  const auto loaded =
      LoadGood(Cat(FilterEntry("a", Plain("table")), "virtual_hosts { name: 'v' domains: '*' ",
                   FilterEntry("a", Plain("host")),
                   "routes { match { prefix: '/' } route { weighted_clusters { clusters { name: "
                   "'c' weight { value: 1 } ",
                   FilterEntry("a", Plain("cluster")), FilterEntry("b", Plain("b")), "} } } } }"));
  const Route& route = Only(*loaded);
  CHECK(Configs(route, 0) == std::vector<std::string>{"0table", "0host", "0cluster"});
  CHECK(Configs(route, 1) == std::vector<std::string>{"1b"});
  CHECK(route.enabled_filters ==
        0b111);  // a configuration enables a filter that is disabled in the chain
}

TEST_CASE("filters are switched by routes", "[routes]") {
  const auto routes = [](const std::string& host, const std::string& route) {
    return Cat("virtual_hosts { name: 'v' domains: '*' ", host,
               "routes { match { prefix: '/' } route { cluster: 'c' } ", route, "} }");
  };
  struct Row {
    std::string host, route;
    uint64_t enabled;
  };
  const Row rows[] = {
      {"", "", 0b101},
      {FilterEntry("a", Wrapped("disabled: true")), "", 0b100},
      {FilterEntry("a", Wrapped("disabled: true")), FilterEntry("a", Wrapped("config {}")), 0b101},
      {FilterEntry("a", Wrapped("disabled: true")), FilterEntry("a", Plain("x")), 0b101},
      {FilterEntry("b", Wrapped("config {}")), "", 0b111},
      {FilterEntry("b", Wrapped("disabled: false")), "", 0b111},
      {FilterEntry("b", Wrapped("config {}")), FilterEntry("b", Wrapped("disabled: true")), 0b101},
      {FilterEntry("nope", Wrapped("is_optional: true")), "", 0b101},
      {FilterEntry("b", Wrapped("config { type_url: 'x/T' value: 'y' }")), "", 0b111},
  };
  for (const Row& row : rows) {
    CAPTURE(row.host, row.route);
    const auto loaded = LoadGood(routes(row.host, row.route));
    CHECK(Only(*loaded).enabled_filters == row.enabled);
  }
  const auto wrapped =
      LoadGood(routes(FilterEntry("b", Wrapped("config { type_url: 'x/T' value: 'y' }")), ""));
  CHECK(Configs(Only(*wrapped), 1) == std::vector<std::string>{"1y"});
}

TEST_CASE("mistakes are reported where they are", "[routes]") {
  const auto route = [](const std::string& action) {
    return Host(Cat("routes { match { prefix: '/' } route { cluster: 'c' ", action, " } }"));
  };
  const std::string at = "r.virtual_hosts[0].routes[0]";
  struct Row {
    std::string config;
    std::string path;
    const char* message;
  };
  const Row rows[] = {
      {Host("routes { match { prefix: '/' } route { cluster: 'nope' } }"), at + ".route.cluster",
       "route: unknown cluster 'nope'"},
      {Host("routes { match { prefix: '/' } route { weighted_clusters { clusters { name: 'nope' "
            "weight { value: 1 } } } } }"),
       at + ".route.weighted_clusters.clusters[0].name", "unknown cluster"},
      {Host("routes { match { prefix: '/' } route { weighted_clusters { clusters { name: 'c' } } } "
            "}"),
       at + ".route.weighted_clusters.clusters", "zero"},
      {"virtual_hosts { name: 'v' }", "r.virtual_hosts[0].domains", "at least one domain"},
      {"virtual_hosts { name: 'v' domains: 'a' domains: 'A' }", "r.virtual_hosts[0].domains[1]",
       "duplicate domain 'A'"},
      {"virtual_hosts { name: 'v' domains: '*' } virtual_hosts { name: 'w' domains: '*' }",
       "r.virtual_hosts[1].domains[0]", "duplicate domain"},
      {"virtual_hosts { name: 'v' domains: 'a*b' }", "r.virtual_hosts[0].domains[0]", "'*'"},
      {Host("routes { match { safe_regex { regex: '(' } } route { cluster: 'c' } }"),
       at + ".match.safe_regex.regex", "missing )"},
      {Host("routes { match { prefix: '/' headers { name: 'x' string_match { safe_regex { regex: "
            "'[' } } } } route { cluster: 'c' } }"),
       at + ".match.headers[0]", "missing ]"},
      {Host("routes { match { } route { cluster: 'c' } }"), at + ".match", "is required"},
      {Host("routes { match { prefix: '/' } }"), at, "is required"},
      {route("prefix_rewrite: '/' regex_rewrite { pattern { regex: 'a' } }"), at + ".route",
       "only one of prefix_rewrite, regex_rewrite"},
      {route("regex_rewrite { pattern { regex: '(' } }"), at + ".route.regex_rewrite.pattern.regex",
       "missing )"},
      {route("regex_rewrite { pattern { regex: 'a' } substitution: '\\\\1' }"),
       at + ".route.regex_rewrite.substitution", "1"},
      {route("retry_policy { retry_on: '5xx,conect-failure' }"),
       at + ".route.retry_policy.retry_on", "did you mean 'connect-failure'"},
      {route("retry_policy { retry_back_off { base_interval { seconds: 2 } max_interval { seconds: "
             "1 } } }"),
       at + ".route.retry_policy.retry_back_off.max_interval", "shorter"},
      {route("upgrade_configs { upgrade_type: 'a' } upgrade_configs { upgrade_type: 'A' }"),
       at + ".route.upgrade_configs[1].upgrade_type", "duplicate"},
      {route("upgrade_configs { upgrade_type: 'websocket' connect_config {} }"),
       at + ".route.upgrade_configs[0].connect_config", "CONNECT"},
      {Host("routes { match { prefix: '/' } redirect { port_redirect: 70000 } }"),
       at + ".redirect.port_redirect", "65535"},
      {Host("routes { match { prefix: '/' } direct_response { status: 200 body { filename: "
            "'/no/such/file' } } }"),
       at + ".direct_response.body.filename", "cannot read"},
      {Cat("max_direct_response_body_size_bytes { value: 2 } ",
           Host("routes { match { prefix: '/' } direct_response { status: 200 body { "
                "inline_string: 'abc' } } }")),
       at + ".direct_response.body", "3 bytes"},
      {Host("response_headers_to_add { header { key: ':status' value: '1' } }"),
       "r.virtual_hosts[0].response_headers_to_add[0].header.key", ":status"},
      {Cat(FilterEntry("rooter", Plain("x")), Host("")), "r.typed_per_filter_config[\"rooter\"]",
       "did you mean 'router'"},
      {Cat(FilterEntry("a", Plain("bad")), Host("")), "r.typed_per_filter_config[\"a\"]",
       "bad filter configuration"},
      {Cat(FilterEntry("a", Wrapped("config { type_url: 'x/T' value: 'bad' }")), Host("")),
       "r.typed_per_filter_config[\"a\"].config", "bad filter"},
      {Cat(FilterEntry("router", Wrapped("disabled: true")), Host("")),
       "r.typed_per_filter_config[\"router\"]", "cannot be disabled"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.config);
    const auto loaded = Load(row.config);
    INFO(loaded->diagnostics.ToString());
    REQUIRE(loaded->diagnostics.errors() == 1);
    CHECK(loaded->diagnostics.problems()[0].path == row.path);
    CHECK_THAT(loaded->diagnostics.problems()[0].ToString(), Catch::Contains(row.message));
  }
}

TEST_CASE("who may upgrade", "[upgrade]") {
  struct Row {
    const char* name;
    UpgradeSet route, manager;
    const char* method;
    const char* upgrade;
    bool allowed;
  };
  const Row rows[] = {
      {"a plain request", {}, {}, "GET", "", true},
      {"nobody enables it", {}, {}, "CONNECT", "", false},
      {"the manager enables it", {}, {{"connect", true}}, "CONNECT", "", true},
      {"the route enables it", {{"connect", true}}, {}, "CONNECT", "", true},
      {"the route beats a manager that says no",
       {{"connect", true}},
       {{"connect", false}},
       "CONNECT",
       "",
       true},
      {"the route beats a manager that says yes",
       {{"connect", false}},
       {{"connect", true}},
       "CONNECT",
       "",
       false},
      {"the route speaks of something else",
       {{"websocket", false}},
       {{"connect", true}},
       "CONNECT",
       "",
       true},
      {"a WebSocket", {{"websocket", true}}, {}, "GET", "websocket", true},
      {"another protocol", {{"websocket", true}}, {{"connect", true}}, "GET", "h2c", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    RequestHead head;
    head.method = row.method;
    head.upgrade = row.upgrade;
    Route route;
    route.upgrades = row.route;
    CHECK(UpgradeAllowed(&route, row.manager, head) == row.allowed);
    CHECK(UpgradeAllowed(nullptr, row.manager, head));
    route.action = Route::Action::kDirectResponse;
    CHECK(UpgradeAllowed(&route, row.manager, head));
  }
}

}  // namespace
}  // namespace sluice
