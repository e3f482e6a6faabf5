// Case files. Test thread.
#include "test/case_runner/case.h"

#include <yaml-cpp/yaml.h>

#include "absl/strings/str_replace.h"

namespace sluice::cases {
namespace {

constexpr std::string_view kType = "type.googleapis.com/envoy.extensions.";

std::string Quote(const std::string& text) {
  return "\"" +
         absl::StrReplaceAll(
             text, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}, {"\r", "\\r"}, {"\t", "\\t"}}) +
         "\"";
}

// A node in flow style: the loader decides by the field what a plain scalar means.
std::string Flow(const YAML::Node& node) {
  std::string out;
  switch (node.Type()) {
    case YAML::NodeType::Map:
      for (const auto& entry : node)
        AppendTo(&out, out.empty() ? "" : ", ", Quote(entry.first.Scalar()), ": ",
                 Flow(entry.second));
      return "{" + out + "}";
    case YAML::NodeType::Sequence:
      for (const auto& entry : node) AppendTo(&out, out.empty() ? "" : ", ", Flow(entry));
      return "[" + out + "]";
    case YAML::NodeType::Scalar:
      break;
    default:
      return "null";
  }
  const std::string& text = node.Scalar();
  const bool bare = node.Tag() != "!" &&
                    (text == "true" || text == "false" || ParseDecimal<int64_t>(text).has_value());
  return bare ? text : Quote(text);
}

// The fields of `over`, then those of `base` that it does not set.
std::string Merge(const std::vector<std::pair<std::string, std::string>>& base,
                  const YAML::Node& over) {
  std::string out = over ? Flow(over) : "{}";
  out.pop_back();
  for (const auto& [name, value] : base) {
    if (!over || !over[name]) AppendTo(&out, out.size() > 1 ? ", " : "", Quote(name), ": ", value);
  }
  return out + "}";
}

// Lines as they stand on the wire.
std::string Wire(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return absl::StrReplaceAll(text, {{"\n", "\r\n"}}) + "\r\n\r\n";
}

// Bytes as they are, or a message by its head and body, or one by its fields, or several of these.
std::string Message(const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  std::string out;
  if (node.IsSequence()) {
    for (const auto& part : node) out += Message(part);
    return out;
  }
  const std::string body = node["body"] ? node["body"].Scalar() : "";
  if (node["head"]) return Wire(node["head"].Scalar()) + body;
  auto text = [&](const char* name, const char* otherwise) {
    return node[name] ? node[name].Scalar() : std::string(otherwise);
  };
  out = Cat(text("method", "GET"), " ", text("path", "/"), " HTTP/1.1\r\nhost: ", text("host", "h"),
            "\r\n");
  if (node["headers"]) {
    for (const auto& header : node["headers"])
      AppendTo(&out, header.first.Scalar(), ": ", header.second.Scalar(), "\r\n");
  }
  if (node["body"]) AppendTo(&out, "content-length: ", body.size(), "\r\n");
  return out + "\r\n" + body;
}

ResponseExpectation Expectation(const YAML::Node& node) {
  ResponseExpectation expected;
  for (const auto& entry : node) {
    const std::string field = entry.first.Scalar();
    const YAML::Node& value = entry.second;
    if (field == "status") {
      expected.status = value.as<int>();
    } else if (field == "head") {
      expected.head = Wire(value.Scalar());
    } else if (field == "body") {
      expected.body = value.Scalar();
    } else if (field == "headers") {
      for (const auto& header : value) {
        expected.headers.emplace_back(
            header.first.Scalar(),
            header.second.IsNull() ? std::nullopt : std::optional(header.second.Scalar()));
      }
    } else if (field == "trailers") {
      for (const auto& header : value)
        expected.trailers.emplace_back(header.first.Scalar(), header.second.Scalar());
    } else if (field == "bodiless") {
      expected.bodiless = value.as<bool>();
    } else if (field == "cut") {
      expected.cut = value.as<bool>();
    } else {
      throw YAML::Exception(entry.first.Mark(), "no such expectation: " + field);
    }
  }
  return expected;
}

void AddStep(const YAML::Node& node, Script& script) {
  for (const auto& entry : node) {
    const std::string verb = entry.first.Scalar();
    const YAML::Node& value = entry.second;
    if (verb == "send") {
      script.push_back({Step::Kind::kSend, Message(value), {}});
    } else if (verb == "expect") {
      script.push_back({Step::Kind::kBytes, Message(value), {}});
    } else if (verb == "response") {
      script.push_back({Step::Kind::kResponse, "", Expectation(value)});
    } else if (verb == "end") {
      script.push_back({Step::Kind::kEnd, "", {}});
    } else if (verb == "close") {
      script.push_back(
          {value.Scalar() == "reset" ? Step::Kind::kReset : Step::Kind::kClose, "", {}});
    } else if (verb == "closed") {
      script.push_back(
          {Step::Kind::kAwaitEnd, value.Scalar() == "after anything" ? "anything" : "", {}});
    } else {
      throw YAML::Exception(entry.first.Mark(), "no such step: " + verb);
    }
  }
}

Script ReadScript(const YAML::Node& node) {
  Script script;
  for (const auto& step : node) AddStep(step, script);
  return script;
}

Script ClientScript(const YAML::Node& root) {
  if (root["steps"]) return ReadScript(root["steps"]);
  Script script = {{Step::Kind::kSend, Message(root["when"]), {}}};
  const YAML::Node then = root["then"];
  if (then.IsMap()) {
    script.push_back({Step::Kind::kResponse, "", Expectation(then)});
  } else {
    for (const auto& response : then)
      script.push_back({Step::Kind::kResponse, "", Expectation(response)});
  }
  if (root["closed"]) script.push_back({Step::Kind::kAwaitEnd, "", {}});
  return script;
}

std::string AccessLog(const std::string& path) {
  return Cat("[{name: log, typed_config: {\"@type\": ", kType,
             "access_loggers.file.v3.FileAccessLog, path: ", Quote(path),
             ", log_format: {text_format_source: {inline_string: \"%RESPONSE_CODE% "
             "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\\n\"}}}}]");
}

std::string NetworkFilters(const YAML::Node& config, const Surroundings& surroundings) {
  const std::string log = AccessLog(surroundings.log_path);
  if (config["tcp_proxy"]) {
    return Cat("[{name: tcp, typed_config: ",
               Merge({{"@type", Quote(Cat(kType, "filters.network.tcp_proxy.v3.TcpProxy"))},
                      {"stat_prefix", "case"},
                      {"access_log", log}},
                     config["tcp_proxy"]),
               "}]");
  }
  const std::string routes = config["routes"] ? Flow(config["routes"])
                                              : "[{match: {prefix: /}, route: {cluster: origin}}]";
  const std::string hosts = config["virtual_hosts"]
                                ? Flow(config["virtual_hosts"])
                                : Cat("[{name: all, domains: [\"*\"], routes: ", routes, "}]");
  std::string filters = config["http_filters"] ? Flow(config["http_filters"]) : "[]";
  filters.pop_back();
  AppendTo(&filters, filters.size() > 1 ? ", " : "",
           "{name: router, typed_config: {\"@type\": ", kType, "filters.http.router.v3.Router}}]");
  return Cat(
      "[{name: http, typed_config: ",
      Merge(
          {{"@type",
            Quote(Cat(kType, "filters.network.http_connection_manager.v3.HttpConnectionManager"))},
           {"stat_prefix", "case"},
           {"generate_request_id", "false"},
           {"access_log", log},
           {"http_filters", filters},
           {"route_config", Cat("{name: case, virtual_hosts: ", hosts, "}")}},
          config["hcm"]),
      "}]");
}

std::string StaticCluster(const std::string& name, const std::string& address,
                          const YAML::Node& over) {
  const size_t colon = address.rfind(':');
  return Merge(
      {{"name", Quote(name)},
       {"connect_timeout", "2s"},
       {"load_assignment",
        Cat("{cluster_name: ", Quote(name),
            ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
            "{address: ",
            address.substr(0, colon), ", port_value: ", address.substr(colon + 1), "}}}}]}]}")}},
      over);
}

std::string Bootstrap(const YAML::Node& config, const Surroundings& surroundings) {
  std::string clusters;
  for (const auto& [name, address] : surroundings.addresses) {
    AppendTo(&clusters, clusters.empty() ? "" : ", ",
             StaticCluster(name, address,
                           config["clusters"] ? config["clusters"][name]
                                              : YAML::Node(YAML::NodeType::Undefined)));
  }
  if (config["more_clusters"]) {
    for (const auto& cluster : config["more_clusters"])
      AppendTo(&clusters, clusters.empty() ? "" : ", ", Flow(cluster));
  }
  return Cat(
      "static_resources: {listeners: [{name: case, address: {socket_address: {address: 127.0.0.1, "
      "port_value: 0}}, bind_to_port: ",
      surroundings.bind ? "true" : "false",
      ", filter_chains: [{filters: ", NetworkFilters(config, surroundings), "}]}], clusters: [",
      clusters, "]}");
}

}  // namespace

absl::StatusOr<std::vector<std::string>> UpstreamNames(const std::string& text) try {
  std::vector<std::string> names;
  const YAML::Node root = YAML::Load(text);
  if (root["upstreams"]) {
    for (const auto& upstream : root["upstreams"]) names.push_back(upstream.first.Scalar());
  }
  return names;
} catch (const YAML::Exception& error) {
  return Invalid(std::string(error.what()));
}

absl::StatusOr<Case> ReadCase(const std::string& text, const Surroundings& surroundings) try {
  std::string filled = text;
  for (const auto& [name, address] : surroundings.addresses) {
    absl::StrReplaceAll({{Cat("@", name, "@"), address},
                         {Cat("@", name, ".port@"), address.substr(address.rfind(':') + 1)}},
                        &filled);
  }
  const YAML::Node root = YAML::Load(filled);
  for (const auto& entry : root) {
    static const StringSet known{"name", "config", "upstreams", "when",
                                 "then", "closed", "steps",     "log"};
    if (!known.contains(entry.first.Scalar()))
      throw YAML::Exception(entry.first.Mark(), "no such field: " + entry.first.Scalar());
  }
  Case result;
  result.name = root["name"].as<std::string>();
  result.listener_and_clusters =
      Bootstrap(root["config"] ? root["config"] : YAML::Node(YAML::NodeType::Map), surroundings);
  if (root["upstreams"]) {
    for (const auto& upstream : root["upstreams"]) {
      std::vector<Script>& scripts = result.upstreams[upstream.first.Scalar()];
      // A list of steps is the one connection; a list of lists, several.
      const bool several = upstream.second.size() > 0 && upstream.second[0].IsSequence();
      if (several) {
        for (const auto& connection : upstream.second) scripts.push_back(ReadScript(connection));
      } else if (upstream.second.size() > 0) {
        scripts.push_back(ReadScript(upstream.second));
      }
    }
  }
  result.client = ClientScript(root);
  if (root["log"]) {
    result.log.emplace();
    for (const auto& line : root["log"]) result.log->push_back(line.Scalar());
  }
  return result;
} catch (const YAML::Exception& error) {
  return Invalid(std::string(error.what()));
}

}  // namespace sluice::cases
