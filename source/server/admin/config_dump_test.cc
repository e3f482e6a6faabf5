// /config_dump: order, selection, masks, secrets.
#include <algorithm>
#include <regex>

#include "source/base/strings.h"
#include "source/server/admin/testing/server.h"

namespace sluice::admin {
namespace {

using Catch::Matchers::Contains;

// The reply without blanks between the tokens.
std::string Dense(AdminReply reply) {
  std::string out;
  bool quoted = false;
  for (const char c : reply.body) {
    if (c == '"') quoted = !quoted;
    if (quoted || (c != ' ' && c != '\n')) out.push_back(c);
  }
  return out;
}

std::vector<std::string> Parts(const std::string& body) {
  static const std::regex pattern("envoy\\.admin\\.v3\\.([A-Za-z]+)ConfigDump\"");
  std::vector<std::string> names;
  for (std::sregex_iterator it(body.begin(), body.end(), pattern), end; it != end; ++it)
    names.push_back((*it)[1]);
  return names;
}

TEST_CASE("Everything, in Envoy's order") {
  TestServer server;
  using Names = std::vector<std::string>;
  CHECK(Parts(server.Ask("/config_dump").body) ==
        Names{"Bootstrap", "Clusters", "Listeners", "ScopedRoutes", "Routes", "Secrets"});
  CHECK(Parts(server.Ask("/config_dump?include_eds").body) ==
        Names{"Bootstrap", "Clusters", "Endpoints", "Listeners", "ScopedRoutes", "Routes",
              "Secrets"});

  const AdminReply reply = server.Ask("/config_dump");
  CHECK(reply.content_type == "application/json");
  const std::string body = Dense(reply);
  for (const char* text : {"\"static_clusters\":[{\"cluster\":{\"@type\":\"type.googleapis.com/"
                           "envoy.config.cluster.v3.Cluster\",\"name\":\"dfp\"",
                           "\"static_listeners\":[{\"listener\":{\"@type\":\"type.googleapis.com/"
                           "envoy.config.listener.v3.Listener\",\"name\":\"main\"",
                           "\"static_route_configs\":[{\"route_config\":{\"@type\":\"type."
                           "googleapis.com/envoy.config.route.v3.RouteConfiguration\","
                           "\"name\":\"local\"",
                           "\"last_updated\":\"2026-11-23T03:04:05Z\"",
                           "\"stat_prefix\":\"ingress\"", "\"id\":\"from-file\""}) {
    CHECK_THAT(body, Contains(text));
  }
  CHECK_THAT(
      Dense(server.Ask("/config_dump?include_eds")),
      Contains(
          "\"endpoint\":{\"address\":{\"socket_address\":{\"address\":\"127.0.0.1\",\"port_value\":"
          "8080}},"
          "\"hostname\":\"ok.t:8080\"},\"health_status\":\"HEALTHY\",\"load_balancing_weight\":1"));
}

TEST_CASE("Parts of it") {
  TestServer server;
  struct Row {
    std::string_view target;
    int status;
    std::string_view has, lacks;
  };
  for (const Row& row :
       {Row{"/config_dump?resource=static_clusters", 200,
            "{\"configs\":[{\"@type\":\"type.googleapis.com/"
            "envoy.admin.v3.ClustersConfigDump.StaticCluster\",\"cluster\":",
            "Listener"},
        Row{"/config_dump?resource=static_clusters&mask=cluster.name", 200, "\"name\":\"other\"",
            "load_assignment"},
        Row{"/config_dump?resource=static_clusters&name_regex=d.p", 200, "\"name\":\"dfp\"",
            "\"name\":\"other\""},
        Row{"/config_dump?resource=static_clusters&name_regex=d", 200, "{}", "dfp"},
        Row{"/config_dump?name_regex=nobody", 200, "BootstrapConfigDump", "static_listeners"},
        Row{"/config_dump?resource=static_endpoint_configs&include_eds", 200,
            "\"cluster_name\":\"dfp\"", "Listener"},
        Row{"/config_dump?resource=static_endpoint_configs", 404,
            "static_endpoint_configs not found in config dump", "{"},
        Row{"/config_dump?resource=dynamic_active_clusters", 200, "{}", "dfp"},
        Row{"/config_dump?resource=dynamic_listeners", 200, "{}", "main"},
        Row{"/config_dump?mask=bootstrap.node", 200, "\"id\":\"from-file\"", "static_resources"},
        Row{"/config_dump?mask=static_listeners,last_updated", 400,
            "FieldMask static_listeners,last_updated could not be", "{"}}) {
    INFO(row.target);
    const AdminReply reply = server.Ask(row.target);
    CHECK(reply.status == row.status);
    const std::string body = reply.status == 200 ? Dense(reply) : reply.body;
    CHECK_THAT(body, Contains(std::string(row.has)) && !Contains(std::string(row.lacks)));
  }
  struct Wrong {
    std::string_view target;
    int status;
    std::string_view body;
  };
  for (const Wrong& row :
       {Wrong{"/config_dump?resource=nope", 404, "nope not found in config dump\n"},
        Wrong{"/config_dump?resource=bootstrap", 400,
              "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field\n"},
        Wrong{"/config_dump?mask=nope", 400,
              "FieldMask nope could not be successfully applied to any configs.\n"},
        Wrong{"/config_dump?resource=static_clusters&mask=nope", 400,
              "FieldMask nope could not be successfully used.\n"},
        Wrong{"/config_dump?name_regex=(", 400,
              "name_regex: bad regular expression: missing ): (\n"}}) {
    INFO(row.target);
    const AdminReply reply = server.Ask(row.target);
    CHECK(reply.status == row.status);
    CHECK(reply.body == row.body);
  }
}

}  // namespace
}  // namespace sluice::admin
