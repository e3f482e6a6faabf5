// The admin's pages but /config_dump, as functions from a request to a reply.
#include "source/server/admin/page.h"
#include "source/config/runtime_layers.h"

#include <algorithm>

#include "source/base/log.h"
#include "source/base/strings.h"
#include "source/server/admin/testing/server.h"

namespace sluice::admin {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using Done = std::vector<std::string>;

TEST_CASE("A query is decoded") {
  struct Row {
    std::string_view text, name, value;
  };
  for (const Row& row :
       {Row{"a=b", "a", "b"}, Row{"x&a=%5Eb+c%2B", "a", "^b c+"}, Row{"a", "a", ""},
        Row{"a=1&a=2", "a", "1"}, Row{"&&a=b=c&", "a", "b=c"}, Row{"a=%4&b", "a", "%4"},
        Row{"a=%zz", "a", "%zz"}, Row{"%61=%", "a", "%"}}) {
    INFO(row.text);
    AdminRequest request;
    ParseQuery(row.text, &request);
    REQUIRE(request.Has(row.name));
    CHECK(request.Get(row.name) == row.value);
    CHECK_FALSE(request.Has("absent"));
  }
}

TEST_CASE("The table is sorted, and every page answers") {
  const auto pages = Pages();
  CHECK(std::is_sorted(pages.begin(), pages.end(),
                       [](const Page& a, const Page& b) { return a.path < b.path; }));
  TestServer server;
  for (const Page& page : pages) {
    INFO(page.path);
    const int status = page.function == NoProfilerPage  ? 501
                       : page.path == "/runtime_modify" ? 400  // without parameters
                                                        : 200;
    CHECK(server.Ask(page.path, "POST").status == status);
    const AdminReply reply = server.Ask(page.path, "GET");
    CHECK(reply.status == (page.post_only ? 405 : status));
    if (page.post_only) {
      CHECK(reply.body == "Method GET not allowed, POST required.");
      CHECK(server.Ask(page.path, "HEAD").status == 405);
      CHECK(server.Ask(page.path, "DELETE").status == 405);
    } else {
      CHECK(server.Ask(page.path, "HEAD").status == status);
    }
  }
}

TEST_CASE("Unknown paths get the list of commands") {
  TestServer server;
  for (const std::string_view path :
       {"/nothing", "", "*", "/stats/", "/READY", "/runtime_modified?a=b", "//ready"}) {
    INFO(path);
    const AdminReply reply = server.Ask(path);
    CHECK(reply.status == 404);
    CHECK_THAT(reply.body, StartsWith("invalid path. admin commands are:\n  /: "));
    CHECK_THAT(reply.body, Contains("\n  /quitquitquit (POST): "));
  }
  CHECK_THAT(server.Ask("/help").body, StartsWith("admin commands are:\n"));
  const AdminReply home = server.Ask("/");
  CHECK(home.content_type == "text/html; charset=UTF-8");
  CHECK_THAT(home.body, Contains("<a href=\"stats/prometheus\">") &&
                            Contains("<form action=\"quitquitquit\" method=\"post\">"));
}

TEST_CASE("/ready and /server_info follow the state") {
  TestServer server;
  struct Row {
    ServerState state;
    int status;
    std::string_view name;
  };
  for (const Row& row :
       {Row{ServerState::kLive, 200, "LIVE"}, Row{ServerState::kDraining, 503, "DRAINING"},
        Row{ServerState::kPreInitializing, 503, "PRE_INITIALIZING"},
        Row{ServerState::kInitializing, 503, "INITIALIZING"}}) {
    server.state = row.state;
    const AdminReply reply = server.Ask("/ready");
    CHECK(reply.status == row.status);
    CHECK(reply.body == Cat(row.name, "\n"));
    CHECK_THAT(server.Ask("/server_info").body, Contains(Cat("\"state\": \"", row.name, "\"")));
  }
}

TEST_CASE("/server_info shows version, uptime, command line and node") {
  TestServer server;
  server.options.service_node = "from-flag";
  server.options.drain_time_s = 7;
  server.options.drain_strategy = "immediate";
  server.options.config_yaml = "password: secret";
  const AdminReply reply = server.Ask("/server_info");
  CHECK(reply.content_type == "application/json");
  for (const char* text :
       {"\"version\": \"0123abcd/0.1.0/Clean/RELEASE/OpenSSL\"", "\"uptime_current_epoch\": \"9",
        "\"concurrency\": 2", "\"id\": \"from-flag\"", "\"cluster\": \"c\"",
        "\"drain_time\": \"7s\"", "\"drain_strategy\": \"Immediate\"", "\"mode\": \"Serve\"",
        "\"hot_restart_version\": \"disabled\"", "\"log_level\": \"info\"",
        "\"file_flush_interval\": \"10s\""}) {
    CHECK_THAT(reply.body, Contains(text));
  }
  CHECK_THAT(reply.body, !Contains("secret"));
}

TEST_CASE("/stats selects and formats") {
  TestServer server;
  server.store.Root()
      .Sub("http")
      .Sub("in", stats::tag::kHttpConnManagerPrefix)
      .counter("rq_total")
      .Add(3);
  server.store.Root().counter("never");
  struct Row {
    std::string_view target;
    int status;
    std::string_view content_type, has, lacks;
  };
  for (const Row& row :
       {Row{"/stats", 200, kText, "http.in.rq_total: 3\n", "{"},
        Row{"/stats?usedonly", 200, kText, "http.in", "never"},
        Row{"/stats?filter=%5Eneve.$", 200, kText, "never: 0\n", "http"},
        Row{"/stats?format=text", 200, kText, "never: 0\n", "{"},
        Row{"/stats?format=json", 200, kJson, "{\"name\":\"never\",\"value\":0}", "# TYPE"},
        Row{"/stats?type=Gauges", 200, kText, "", "never"},
        Row{"/stats?hidden=only", 200, kText, "", "rq_total"},
        Row{"/stats?hidden=include", 200, kText, "never: 0\n", "{"},
        Row{"/stats?hidden=x", 400, kText, "usage: /stats?hidden=(include|only|exclude)\n",
            "never"},
        Row{"/stats?format=html&filter=n%3Cever", 200, kHtml, "value=\"n&lt;ever\"", "n<ever"},
        Row{"/stats?format=html&filter=%5Eneve.$", 200, kHtml, "never: 0\n", "http.in"},
        Row{"/stats?format=html&usedonly", 200, kHtml, "name=\"usedonly\" checked>", "never"},
        Row{"/stats?format=html&type=Gauges", 200, kHtml, "<option selected>Gauges<", "rq_total"},
        Row{"/stats?format=html", 200, kHtml, "http.in.rq_total: 3\n", "<script"},
        Row{"/stats?format=active-html", 200, kHtml, "<script>", "src="},
        Row{"/stats?format=active-html&type=x", 400, kText, "invalid &type= param\n", "<"},
        Row{"/stats?format=prometheus", 200, kText, "# TYPE envoy_never counter\n", ": 0"},
        Row{"/stats/prometheus?usedonly", 200, kText,
            "envoy_http_rq_total{envoy_http_conn_manager_prefix=\"in\"} 3\n", "never"},
        Row{"/stats?filter=(", 400, kText, "Invalid re2 regex: missing ): (\n", "never"},
        Row{"/stats/prometheus?filter=(", 400, kText, "Invalid re2 regex", "never"},
        Row{"/stats?type=x", 400, kText, "invalid &type= param\n", "never"},
        Row{"/stats?format=xml", 400, kText, "usage: /stats?format=", "never"},
        Row{"/stats?histogram_buckets=x", 400, kText,
            "usage: /stats?histogram_buckets=", "never"}}) {
    INFO(row.target);
    const AdminReply reply = server.Ask(row.target);
    CHECK(reply.status == row.status);
    CHECK(reply.content_type == row.content_type);
    CHECK_THAT(reply.body, Contains(std::string(row.has)) && !Contains(std::string(row.lacks)));
  }
  CHECK(std::count(server.done.begin(), server.done.end(), "refresh") >= 9);
  server.Ask("/reset_counters", "POST");
  CHECK(server.store.Value("http.in.rq_total") == 0);
}

TEST_CASE("/clusters as text: limits, then every host") {
  TestServer server;
  const std::string text = server.Ask("/clusters").body;
  CHECK_THAT(text, StartsWith("dfp::observability_name::dfp\n"
                              "dfp::default_priority::max_connections::40000\n"
                              "dfp::default_priority::max_pending_requests::1024\n"
                              "dfp::default_priority::max_requests::1024\n"
                              "dfp::default_priority::max_retries::3\n"
                              "dfp::high_priority::max_connections::1024\n"
                              "dfp::high_priority::max_pending_requests::1024\n"
                              "dfp::high_priority::max_requests::1024\n"
                              "dfp::high_priority::max_retries::3\n"
                              "dfp::added_via_api::false\n"
                              "dfp::127.0.0.1:8080::cx_active::1\n"
                              "dfp::127.0.0.1:8080::cx_connect_fail::0\n"
                              "dfp::127.0.0.1:8080::cx_total::2\n"
                              "dfp::127.0.0.1:8080::rq_active::0\n"
                              "dfp::127.0.0.1:8080::rq_error::1\n"
                              "dfp::127.0.0.1:8080::rq_pending_active::0\n"
                              "dfp::127.0.0.1:8080::rq_success::2\n"
                              "dfp::127.0.0.1:8080::rq_timeout::0\n"
                              "dfp::127.0.0.1:8080::rq_total::3\n"
                              "dfp::127.0.0.1:8080::hostname::ok.t:8080\n"
                              "dfp::127.0.0.1:8080::health_flags::healthy\n"
                              "dfp::127.0.0.1:8080::weight::1\n"
                              "dfp::127.0.0.1:8080::region::r\n"
                              "dfp::127.0.0.1:8080::zone::\n"
                              "dfp::127.0.0.1:8080::sub_zone::\n"
                              "dfp::127.0.0.1:8080::canary::false\n"
                              "dfp::127.0.0.1:8080::priority::0\n"
                              "dfp::127.0.0.1:8080::success_rate::-1\n"
                              "dfp::127.0.0.1:8080::local_origin_success_rate::-1\n"
                              "other::observability_name::other\n"));
  server.host.stats->health.Set(HostHealth::kFailedEdsHealth, true);
  server.host.stats->health.Set(HostHealth::kFailedOutlierCheck, true);
  CHECK_THAT(server.Ask("/clusters").body,
             Contains("health_flags::/failed_outlier_check/failed_eds_health\n"));
}

TEST_CASE("/clusters as JSON") {
  TestServer server;
  const AdminReply reply = server.Ask("/clusters?format=json");
  CHECK(reply.content_type == "application/json");
  std::string body = reply.body;
  body.erase(std::remove_if(body.begin(), body.end(), [](char c) { return c == ' ' || c == '\n'; }),
             body.end());
  CHECK_THAT(body, StartsWith("{\"cluster_statuses\":[{\"name\":\"dfp\","));
  CHECK_THAT(body, Contains("\"socket_address\":{\"address\":\"127.0.0.1\",\"port_value\":8080}") &&
                       Contains("{\"type\":\"GAUGE\",\"value\":\"1\",\"name\":\"cx_active\"}") &&
                       Contains("{\"value\":\"3\",\"name\":\"rq_total\"}") &&
                       Contains("\"hostname\":\"ok.t:8080\"") &&
                       Contains("\"health_status\":{\"eds_health_status\":\"HEALTHY\"}") &&
                       Contains("\"max_connections\":40000") && Contains("\"priority\":\"HIGH\"") &&
                       Contains("\"name\":\"other\""));
}

TEST_CASE("/listeners in both formats") {
  TestServer server;
  CHECK(server.Ask("/listeners").body ==
        "main::127.0.0.1:10000\nmain::[::1]:10001\nsocket::/run/x.sock\n");
  const AdminReply json = server.Ask("/listeners?format=json");
  CHECK(json.content_type == "application/json");
  CHECK_THAT(json.body, Contains("\"listener_statuses\"") && Contains("\"port_value\": 10000") &&
                            Contains("\"additional_local_addresses\"") &&
                            Contains("\"path\": \"/run/x.sock\""));
}

TEST_CASE("/logging shows and sets levels") {
  TestServer server;
  SetLogLevel(LogLevel::kInfo);
  struct Row {
    std::string_view target;
    int status;
    std::string_view has;
  };
  for (const Row& row :
       {Row{"/logging", 200, "active loggers:\n  a2a: info\n  admin: info\n"},
        Row{"/logging?level=debug", 200, "\n  http: debug\n"},
        Row{"/logging?dns=error", 200, "\n  dns: error\n"},
        Row{"/logging?paths=dns:warn,main:trace", 200, "\n  dns: warning\n"},
        Row{"/logging?level=nonsense", 400, "error: unknown logger level\n\nusage: "},
        Row{"/logging?nobody=info", 400, "error: unknown logger name\n"},
        Row{"/logging?paths=dns:loud", 400, "error: unknown logger level\n"},
        Row{"/logging?paths=dns:info,nobody:info", 400, "error: unknown logger name\n"},
        Row{"/logging?paths=dns", 400, "error: empty logger name or empty logger level\n"},
        Row{"/logging?paths=:info", 400, "error: empty logger name or empty logger level\n"},
        Row{"/logging?paths=main:info,dns:", 400,
            "error: empty logger name or empty logger level\n"},
        Row{"/logging?level=", 200, "active loggers:\n"},
        Row{"/logging?dns=off&main=off", 400, "error: invalid number of parameters\n"}}) {
    INFO(row.target);
    const AdminReply reply = server.Ask(row.target, "POST");
    CHECK(reply.status == row.status);
    CHECK_THAT(reply.body, Contains(std::string(row.has)));
  }
  CHECK(LogsAt(LogComponent::kMain, LogLevel::kTrace));
  SetLogLevel(LogLevel::kInfo);
}

TEST_CASE("The pages that act") {
  TestServer server;
  struct Row {
    std::string_view target;
    Done done;
  };
  for (const Row& row :
       {Row{"/healthcheck/fail", {"unhealthy"}}, Row{"/healthcheck/ok", {"healthy"}},
        Row{"/drain_listeners", {"drain"}}, Row{"/drain_listeners?graceful", {"drain gracefully"}},
        Row{"/reopen_logs", {"reopen"}}}) {
    INFO(row.target);
    server.done.clear();
    CHECK(server.Ask(row.target).status == 405);
    CHECK(server.done.empty());
    CHECK(server.Ask(row.target, "POST").body == "OK\n");
    CHECK(server.done == row.done);
  }
  server.done.clear();
  server.Ask("/drain_listeners?inboundonly", "POST");
  server.Ask("/drain_listeners?graceful&skip_exit", "POST");
  CHECK(server.done == Done{"drain inbound", "drain gracefully and stay"});

  server.reopened = Invalid("cannot open 'x'");
  CHECK(server.Ask("/reopen_logs", "POST").status == 500);
}

TEST_CASE("The process ends only behind the answer") {
  TestServer server;
  const AdminReply reply = server.Ask("/quitquitquit", "POST");
  CHECK(reply.body == "OK\n");
  CHECK(server.done.empty());
  REQUIRE(reply.after);
  reply.after();
  CHECK(server.done == Done{"quit"});
}

TEST_CASE("Look-ups of statistics") {
  TestServer server;
  CHECK_THAT(server.Ask("/stats/recentlookups").body,
             StartsWith("Lookup tracking is not enabled."));
  CHECK(server.Ask("/stats/recentlookups/enable", "POST").body == "OK\n");
  CHECK(server.Ask("/stats/recentlookups/clear", "POST").body == "OK\n");
  server.store.Root().counter("a");
  server.store.Root().counter("a");
  CHECK(server.Ask("/stats/recentlookups").body == "   Count Lookup\n       2 a\n\ntotal: 2\n");
  CHECK(server.Ask("/stats/recentlookups/disable", "POST").body == "OK\n");
  server.store.Root().counter("a");
  CHECK(server.Ask("/stats/recentlookups").body ==
        "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 3\n");
}

TEST_CASE("Runtime") {
  TestServer server;
  CHECK(server.Ask("/runtime").body == "{\n \"layers\": [],\n \"entries\": {}\n}\n");
  config::RuntimeLayer base{"base", {}}, admin{"admin", {}};
  base.values["a.b"] = config::ParseRuntimeValue("1");
  admin.values["a.b"] = config::ParseRuntimeValue("\"2\"");
  server.runtime.Publish({base, admin});
  CHECK(server.Ask("/runtime?format=json").body ==
        R"({
 "layers": [
  "base",
  "admin"
 ],
 "entries": {
  "a.b": {
   "layer_values": [
    "1",
    "\"2\""
   ],
   "final_value": "\"2\""
  }
 }
}
)");
  CHECK(server.Ask("/runtime_modify?a=b").status == 405);
  CHECK(server.Ask("/runtime_modify", "POST").status == 400);
  CHECK(server.Ask("/runtime_modify?a=b&c=", "POST").body == "OK\n");
  CHECK(server.done == Done{"a=b", "c="});
  server.modified = absl::FailedPreconditionError("No admin layer specified");
  CHECK(server.Ask("/runtime_modify?a=b", "POST").status == 503);
}

TEST_CASE("Small pages") {
  TestServer server;
  CHECK(server.Ask("/hot_restart_version").body == "disabled");
  CHECK_THAT(server.Ask("/certs").body, Contains("\"certificates\": []"));
  CHECK(server.Ask("/init_dump").body == "{}\n");
  const std::string memory = server.Ask("/memory").body;
  CHECK_THAT(memory, Contains("\"allocated\": \"") && Contains("\"heap_size\": \""));
  CHECK_THAT(memory, !Contains("\"total_physical_bytes\": \"0\""));
}

}  // namespace
}  // namespace sluice::admin
