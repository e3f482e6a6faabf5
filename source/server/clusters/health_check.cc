// See health_check.h.
#include "source/server/clusters/health_check.h"

#include "absl/strings/escaping.h"
#include "source/config/durations.h"

namespace sluice {
namespace {

namespace core = envoy::config::core::v3;
using config::ToDuration;

// The bytes of a payload, of which the text form is hexadecimal.
std::string BytesOf(const core::HealthCheck::Payload& payload, const std::string& path,
                    ClusterFactoryContext& context) {
  if (payload.payload_case() == core::HealthCheck::Payload::kBinary) return payload.binary();
  const std::string& text = payload.text();
  const bool hexadecimal =
      text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (hexadecimal) return absl::HexStringToBytes(text);
  context.Error(path + ".text", Cat("must be an even number of hexadecimal digits, got '", text,
                                    "': the bytes of \"ok\" are 6f6b"));
  return {};
}

template <class Payloads>
std::vector<std::string> BytesOfAll(const Payloads& payloads, const std::string& path,
                                    ClusterFactoryContext& context) {
  std::vector<std::string> all;
  for (int i = 0; i < payloads.size(); ++i)
    all.push_back(BytesOf(payloads[i], Cat(path, ".receive[", i, "]"), context));
  return all;
}

template <class Ranges>
std::vector<HealthCheckSettings::Range> RangesOf(const Ranges& ranges, const std::string& path,
                                                 ClusterFactoryContext& context) {
  std::vector<HealthCheckSettings::Range> result;
  for (int i = 0; i < ranges.size(); ++i) {
    if (ranges[i].start() < 100 || ranges[i].end() > 600 || ranges[i].start() >= ranges[i].end()) {
      context.Error(Cat(path, "[", i, "]"),
                    "must be a range from 100 up to 600, of which the end is not in it");
    }
    result.push_back({ranges[i].start(), ranges[i].end()});
  }
  return result;
}

bool MayHaveBody(core::RequestMethod method) {
  return method == core::POST || method == core::PUT || method == core::PATCH ||
         method == core::OPTIONS;
}

HealthCheckSettings::Http HttpOf(const core::HealthCheck::HttpHealthCheck& config,
                                 ClusterFactoryContext& context) {
  const std::string path = "health_checks[0].http_health_check";
  HealthCheckSettings::Http http;
  http.host = config.host().empty() ? context.config.name() : config.host();
  http.path = config.path();
  if (config.method() != core::METHOD_UNSPECIFIED)
    http.method = core::RequestMethod_Name(config.method());
  if (config.has_send()) http.send = BytesOf(config.send(), path + ".send", context);
  if (config.has_send() && !MayHaveBody(config.method()))
    context.Error(path + ".send", "goes with the methods POST, PUT, PATCH and OPTIONS only");
  http.receive = BytesOfAll(config.receive(), path, context);
  if (config.has_response_buffer_size()) http.searched = config.response_buffer_size().value();
  http.edits =
      HeaderEdits::Build(config.request_headers_to_add(), config.request_headers_to_remove(),
                         context.path + "." + path, "request_headers_to_add",
                         "request_headers_to_remove", context.server.diagnostics);
  if (config.expected_statuses_size() > 0)
    http.expected = RangesOf(config.expected_statuses(), path + ".expected_statuses", context);
  if (config.has_service_name_matcher()) {
    auto matcher = StringMatcher::Build(config.service_name_matcher());
    if (!matcher.ok())
      context.Error(path + ".service_name_matcher", Std(matcher.status().message()));
    if (matcher.ok()) http.service = *std::move(matcher);
    http.verified = {context.server.runtime, "health_check.verify_cluster", {100, 100}};
    http.verify_cluster = context.scope.Sub("health_check").counter("verify_cluster");
  }
  http.retriable = RangesOf(config.retriable_statuses(), path + ".retriable_statuses", context);
  return http;
}

void ReadIntervals(const core::HealthCheck& config, HealthCheckSettings& settings) {
  const auto or_else = [](bool given, const google::protobuf::Duration& value, Duration other) {
    return given ? ToDuration(value) : other;
  };
  settings.timeout = ToDuration(config.timeout());
  settings.interval = ToDuration(config.interval());
  settings.interval_jitter = ToDuration(config.interval_jitter());
  settings.initial_jitter = ToDuration(config.initial_jitter());
  settings.interval_jitter_percent = config.interval_jitter_percent();
  settings.no_traffic_interval = or_else(config.has_no_traffic_interval(),
                                         config.no_traffic_interval(), std::chrono::seconds(60));
  settings.no_traffic_healthy_interval =
      or_else(config.has_no_traffic_healthy_interval(), config.no_traffic_healthy_interval(),
              settings.no_traffic_interval);
  settings.unhealthy_interval =
      or_else(config.has_unhealthy_interval(), config.unhealthy_interval(), settings.interval);
  settings.unhealthy_edge_interval =
      or_else(config.has_unhealthy_edge_interval(), config.unhealthy_edge_interval(),
              settings.unhealthy_interval);
  settings.healthy_edge_interval = or_else(config.has_healthy_edge_interval(),
                                           config.healthy_edge_interval(), settings.interval);
}

}  // namespace

std::shared_ptr<const HealthCheckSettings> BuildHealthCheck(ClusterFactoryContext& context) {
  if (context.config.health_checks().empty()) return nullptr;
  const core::HealthCheck& config = context.config.health_checks(0);
  auto settings = std::make_shared<HealthCheckSettings>();
  ReadIntervals(config, *settings);
  settings->unhealthy_threshold = config.unhealthy_threshold().value();
  settings->healthy_threshold = config.healthy_threshold().value();
  if (config.has_reuse_connection()) settings->reuse_connection = config.reuse_connection().value();
  settings->transport = context.settings.transport;
  settings->ignore_new_hosts = context.config.common_lb_config().ignore_new_hosts_until_first_hc();
  if (config.has_http_health_check()) {
    settings->http = HttpOf(config.http_health_check(), context);
  } else {
    const std::string path = "health_checks[0].tcp_health_check";
    const auto& tcp = config.tcp_health_check();
    if (tcp.has_send()) settings->tcp.send = BytesOf(tcp.send(), path + ".send", context);
    settings->tcp.receive = BytesOfAll(tcp.receive(), path, context);
  }
  return settings;
}

}  // namespace sluice
