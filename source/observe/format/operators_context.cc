// Operators that print what surrounds a request: route, connection, upstream, filter state,
// the process. Stateless, any thread.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "api/envoy/config/cluster/v3/cluster.pb.h"
#include "source/base/strings.h"
#include "source/observe/format/json_string.h"
#include "source/observe/format/operators.h"

namespace sluice::format_internal {
namespace {

template <std::string UpstreamFacts::* kMember>
Rendered Upstream(const Operator&, const LogContext& context, std::string* out) {
  return AppendText(context.exchange.upstream.*kMember, out);
}

// The cluster that the route names, where no connection was tried; one that does not exist is none.
Rendered UpstreamClusterName(const Operator&, const LogContext& context, std::string* out) {
  const std::string_view name = context.exchange.upstream.cluster_name;
  const RouteBase* route = context.exchange.route();
  const bool named = name.empty() && route != nullptr && route->cluster != nullptr;
  return AppendText(named ? std::string_view(route->cluster_name) : name, out);
}

// Under the name that its statistics have.
Rendered UpstreamCluster(const Operator& op, const LogContext& context, std::string* out) {
  const UpstreamFacts& upstream = context.exchange.upstream;
  const RouteBase* route = context.exchange.route();
  const auto* cluster = upstream.cluster;
  if (upstream.cluster_name.empty() && route != nullptr) cluster = route->cluster;
  return cluster != nullptr && !cluster->alt_stat_name().empty()
             ? AppendText(cluster->alt_stat_name(), out)
             : UpstreamClusterName(op, context, out);
}

Rendered FilterChainName(const Operator&, const LogContext& context, std::string* out) {
  return AppendText(context.exchange.connection().chain->name, out);
}

// REQUESTED_SERVER_NAME(WHICH:HOST): what TLS asked for, the request's host, or the first of both
// that is there; HOST says which of a rewritten host.
enum ServerNames : int { kSniOnly, kSniFirst, kHostFirst };
enum HostNames : int { kOriginalOrHost, kHost, kOriginalHost };

absl::Status CompileServerName(const std::string_view* argument, Operator* op) {
  const std::string_view text = argument == nullptr ? "" : *argument;
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view which = text.substr(0, colon);
  const std::string_view host = text.substr(std::min(colon + 1, text.size()));
  if (which == "SNI_FIRST") {
    op->option = kSniFirst;
  } else if (which == "HOST_FIRST") {
    op->option = kHostFirst;
  } else if (!which.empty() && which != "SNI_ONLY") {
    return Invalid("takes SNI_ONLY, SNI_FIRST or HOST_FIRST first, not '", which, "'");
  }
  if (host == "HOST") {
    op->option2 = kHost;
  } else if (host == "ORIG") {
    op->option2 = kOriginalHost;
  } else if (!host.empty() && host != "ORIG_OR_HOST") {
    return Invalid("takes ORIG_OR_HOST, HOST or ORIG second, not '", host, "'");
  }
  return absl::OkStatus();
}

std::string_view HostFor(const Operator& op, const Exchange& exchange) {
  const RequestHead* head = exchange.request_head();
  if (head == nullptr) return {};
  const std::string_view original =
      op.option2 == kHost ? "" : head->headers.Get("x-envoy-original-host").value_or("");
  return original.empty() && op.option2 != kOriginalHost ? head->authority : original;
}

Rendered ServerName(const Operator& op, const LogContext& context, std::string* out) {
  const std::string& sni = context.exchange.connection().found().requested_server_name;
  if (op.option == kSniOnly || (op.option == kSniFirst && !sni.empty()))
    return AppendText(sni, out);
  const std::string_view host = HostFor(op, context.exchange);
  return AppendText(op.option == kHostFirst && host.empty() ? sni : host, out);
}

Rendered UpstreamConnectionId(const Operator&, const LogContext& context, std::string* out) {
  // 0 where there is none, as Envoy says it.
  return AppendNumber(context.exchange.upstream.connection_id, out);
}

Rendered RouteName(const Operator&, const LogContext& context, std::string* out) {
  const RouteBase* route = context.exchange.route();
  return route == nullptr ? Rendered::kMissing : AppendText(route->name, out);
}

Rendered VirtualCluster(const Operator&, const LogContext& context, std::string* out) {
  return AppendText(context.exchange.upstream.virtual_cluster, out);
}

Rendered Constant(const Operator& op, const LogContext&, std::string* out) {
  return AppendText(op.text, out);
}

absl::Status CompileHostname(const std::string_view* argument, Operator* op) {
  if (argument != nullptr && !argument->empty()) {
    return Invalid("takes no argument");
  }
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0) {
    op->text = name;
  }
  return absl::OkStatus();
}

absl::Status CompileEnvironment(const std::string_view* argument, Operator* op) {
  if (argument == nullptr || argument->empty()) {
    return Invalid("takes the name of an environment variable");
  }
  const char* value = std::getenv(std::string(*argument).c_str());
  op->text = value == nullptr ? "-" : value;  // Also in JSON, as Envoy.
  return absl::OkStatus();
}

// A random UUID (RFC 9562, version 4). To tell lines apart, not to be a secret.
Rendered UniqueId(const Operator&, const LogContext&, std::string* out) {
  thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) |
                                      std::random_device{}()};
  constexpr char kHex[] = "0123456789abcdef";
  const uint64_t words[2] = {(random() & ~uint64_t{0xf000}) | 0x4000,
                             (random() >> 2) | (uint64_t{1} << 63)};
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) {
      out->push_back('-');
    }
    out->push_back(kHex[(words[i / 16] >> (60 - 4 * (i % 16))) & 15]);
  }
  return Rendered::kString;
}

// --- Filter state ---

// KEY, KEY:PLAIN or KEY:TYPED. The last two differ in text only: TYPED (the default) is JSON, so a
// string has quotes.
constexpr int kPlain = 1;

absl::Status CompileFilterState(const std::string_view* argument, Operator* op) {
  if (argument == nullptr || argument->empty()) {
    return Invalid("takes KEY, KEY:PLAIN or KEY:TYPED");
  }
  const size_t colon = std::min(argument->find(':'), argument->size());
  op->text = argument->substr(0, colon);
  const std::string_view form = colon == argument->size() ? "TYPED" : argument->substr(colon + 1);
  if (form.substr(0, 5) == "FIELD") {
    return Invalid("FIELD is not supported yet");
  }
  if (form != "PLAIN" && form != "TYPED") {
    return Invalid("takes KEY, KEY:PLAIN or KEY:TYPED, not '", *argument, "'");
  }
  op->option = form == "PLAIN" ? kPlain : 0;
  return absl::OkStatus();
}

Rendered FilterState(const Operator& op, const LogContext& context, std::string* out) {
  const FilterStateObject* object = context.exchange.filter_state(op.text);
  if (object == nullptr) {
    return Rendered::kMissing;
  }
  if (op.option == kPlain) {
    return AppendText(object->ToString(), out);
  }
  const std::string json = object->ToJson();
  if (json.empty()) {
    AppendJsonString(object->ToString(), out);
  } else {
    *out += json;
  }
  return Rendered::kJson;
}

// No filter here leaves a state with an upstream connection.
Rendered UpstreamFilterState(const Operator&, const LogContext&, std::string*) {
  return Rendered::kMissing;
}

// --- How connections ended ---

Rendered AppendClose(DetectedClose close, std::string* out) {
  constexpr std::string_view kNames[] = {"", "Normal", "RemoteReset", "LocalReset"};
  return AppendText(kNames[static_cast<size_t>(close)], out);
}

Rendered DownstreamClose(const Operator&, const LogContext& c, std::string* out) {
  return AppendClose(c.exchange.close, out);
}
Rendered UpstreamClose(const Operator&, const LogContext& c, std::string* out) {
  const UpstreamFacts& upstream = c.exchange.upstream;
  const bool wanted = upstream.pool_wait >= Duration::zero() || upstream.remote.is_set();
  const bool unknown = upstream.close == DetectedClose::kNone && wanted;
  return AppendClose(unknown ? DetectedClose::kNormal : upstream.close, out);
}
Rendered DownstreamCloseReason(const Operator&, const LogContext& c, std::string* out) {
  return AppendText(c.exchange.local_close_reason, out);
}
Rendered UpstreamCloseReason(const Operator&, const LogContext& c, std::string* out) {
  return AppendText(c.exchange.upstream.local_close_reason, out);
}

Rendered Attempts(const Operator&, const LogContext& c, std::string* out) {
  return AppendNumber(c.exchange.upstream.attempts, out);
}
Rendered ConnectionId(const Operator&, const LogContext& c, std::string* out) {
  return AppendNumber(c.exchange.connection().id, out);
}
Rendered StreamId(const Operator&, const LogContext& c, std::string* out) {
  // As Envoy: what its request id extension identifies the stream by.
  const RequestHead* head = c.exchange.request_head();
  if (head == nullptr) return AppendText(c.exchange.stream_id(), out);
  return AppendText(head->headers.Get(HeaderId::kXRequestId).value_or(""), out);
}
Rendered LogType(const Operator&, const LogContext& c, std::string* out) {
  return AppendText(c.log_type, out);
}

}  // namespace

absl::Span<const OperatorType> ContextOperators() {
  static constexpr OperatorType kOperators[] = {
      {"UPSTREAM_CLUSTER", nullptr, UpstreamCluster, true},
      {"UPSTREAM_CLUSTER_RAW", nullptr, UpstreamClusterName, true},
      {"UPSTREAM_TRANSPORT_FAILURE_REASON", nullptr, Upstream<&UpstreamFacts::transport_failure>,
       true},
      {"UPSTREAM_REQUEST_ATTEMPT_COUNT", nullptr, Attempts, false},
      {"UPSTREAM_CONNECTION_ID", nullptr, UpstreamConnectionId, false},
      {"UPSTREAM_DETECTED_CLOSE_TYPE", nullptr, UpstreamClose, true},
      {"UPSTREAM_LOCAL_CLOSE_REASON", nullptr, UpstreamCloseReason, true},
      {"DOWNSTREAM_DETECTED_CLOSE_TYPE", nullptr, DownstreamClose, true},
      {"DOWNSTREAM_LOCAL_CLOSE_REASON", nullptr, DownstreamCloseReason, true},
      {"CONNECTION_ID", nullptr, ConnectionId, false},
      {"STREAM_ID", nullptr, StreamId, true},
      {"REQUESTED_SERVER_NAME", CompileServerName, ServerName, true},
      {"FILTER_CHAIN_NAME", nullptr, FilterChainName, true},
      {"ROUTE_NAME", nullptr, RouteName, true},
      {"VIRTUAL_CLUSTER_NAME", nullptr, VirtualCluster, true},
      {"ACCESS_LOG_TYPE", nullptr, LogType, true},
      {"HOSTNAME", CompileHostname, Constant, true},
      {"ENVIRONMENT", CompileEnvironment, Constant, true},
      {"UNIQUE_ID", nullptr, UniqueId, true},
      {"FILTER_STATE", CompileFilterState, FilterState, true},
      {"UPSTREAM_FILTER_STATE", CompileFilterState, UpstreamFilterState, true},
  };
  return kOperators;
}

}  // namespace sluice::format_internal
